// What protocol.py says, for peers that run in Node.

export const BATCH = 1000
export const CONCURRENCY = 16

const [operation, url, profile, count, limit] = process.argv.slice(2)
export const asked = { operation, url, isTuned: profile !== 'default', count: Number(count), limitMs: Number(limit) * 1000 }

export const now = () => performance.now()
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
export const rate = (done, ms) => ({ per_s: done / (ms / 1000), done, seconds: ms / 1000 })

export function answer(found) {
  process.stdout.write(JSON.stringify(found) + '\n', () => process.exit(0))
}

export class Pickup {
  latencies = []
  calls = []
  #ran = () => {}

  ran() {
    this.#ran(now())
  }

  async measure(submit, count) {
    for (let n = 0; n <= count; n++) {
      await sleep(20)
      const ran = new Promise((resolve) => { this.#ran = resolve })
      const called = now()
      await submit()
      const stored = now()
      const at = await ran
      this.calls.push(at - called)
      this.latencies.push(Math.max(0, at - stored))
    }
  }

  found() {
    return { latencies_ms: this.latencies.slice(1), calls_ms: this.calls.slice(1) }
  }
}
