// Graphile Worker, driven as protocol.py says. Tuned: a local queue of 500 and batched completion.

import { createRequire } from 'node:module'
import { asked, answer, BATCH, CONCURRENCY, now, Pickup, rate, sleep } from './protocol.mjs'

const require = createRequire(process.env.PEER_MODULES + '/')
const { Logger, makeWorkerUtils, run, runOnce } = require('graphile-worker')

const { operation, url, count, limitMs } = asked
const logger = new Logger(() => () => {})
const tuned = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
}
const worker = {
  connectionString: url,
  concurrency: CONCURRENCY,
  logger,
  noHandleSignals: true,
  ...(asked.isTuned ? { preset: { worker: { connectionString: url, ...tuned } } } : {}),
}
const utils = await makeWorkerUtils({ connectionString: url, logger })
await utils.migrate()
const pickup = new Pickup()
let done = 0
const taskList = { noop: async () => { done += 1; pickup.ran() } }

if (operation === 'single') {
  const started = now()
  for (let n = 0; n < count; n++) await utils.addJob('noop', {})
  answer(rate(count, now() - started))
} else if (operation === 'batch' || operation === 'drain') {
  const started = now()
  for (let n = 0; n < count; n += BATCH) {
    await utils.addJobs(Array.from({ length: Math.min(BATCH, count - n) }, () => ({ identifier: 'noop', payload: {} })))
  }
  if (operation === 'batch') {
    answer(rate(count, now() - started))
  } else {
    const began = now()
    let seconds
    if (asked.isTuned) {
      const runner = await run({ ...worker, taskList })
      while (done < count && now() - began < limitMs) await sleep(2)
      seconds = now() - began
      await runner.stop()
    } else {
      await Promise.race([runOnce({ ...worker, taskList }), sleep(limitMs)])
      seconds = now() - began
    }
    answer(rate(done, seconds))
  }
} else {
  const runner = await run({ ...worker, taskList })
  await sleep(1000)
  await pickup.measure(() => utils.addJob('noop', {}), count)
  await runner.stop()
  answer(pickup.found())
}
