// pg-boss, driven as protocol.py says. Default: 16 workers that poll twice a second, the fastest it
// allows; tuned: a loop of fetch and complete, 500 jobs at a time.

import { createRequire } from 'node:module'
import { asked, answer, BATCH, CONCURRENCY, now, Pickup, rate, sleep } from './protocol.mjs'

const require = createRequire(process.env.PEER_MODULES + '/')
const PgBoss = require('pg-boss')

const { operation, url, count, limitMs } = asked
const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false })
boss.on('error', (error) => { console.error(String(error)); process.exit(1) })
await boss.start()
await boss.createQueue('noop')
const pickup = new Pickup()
let done = 0

const work = async () => {
  for (let n = 0; n < CONCURRENCY; n++) {
    await boss.work('noop', { pollingIntervalSeconds: 0.5 }, async (jobs) => { done += jobs.length; pickup.ran() })
  }
}

if (operation === 'single') {
  const started = now()
  for (let n = 0; n < count; n++) await boss.send('noop', {})
  answer(rate(count, now() - started))
} else if (operation === 'batch' || operation === 'drain') {
  const started = now()
  for (let n = 0; n < count; n += BATCH) {
    await boss.insert(Array.from({ length: Math.min(BATCH, count - n) }, () => ({ name: 'noop', data: {} })))
  }
  if (operation === 'batch') {
    answer(rate(count, now() - started))
  } else {
    const began = now()
    if (asked.isTuned) {
      while (now() - began < limitMs) {
        const jobs = await boss.fetch('noop', { batchSize: 500 })
        if (!jobs || jobs.length === 0) break
        await boss.complete('noop', jobs.map((job) => job.id))
        done += jobs.length
      }
    } else {
      await work()
      while (done < count && now() - began < limitMs) await sleep(2)
    }
    answer(rate(done, now() - began))
  }
} else {
  await work()
  await sleep(1000)
  await pickup.measure(() => boss.send('noop', {}), count)
  answer(pickup.found())
}
