-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX uq_pkg_rollout_plans_unfinished IS 'at most one unfinished plan per lane';
COMMENT ON INDEX ix_pkg_rollout_gate_results_newest IS 'newest result of a gate';
COMMENT ON INDEX idx_rollout_events_lane IS 'newest events of a lane';
COMMENT ON INDEX ix_pkg_evaluations_lane IS 'evaluations of a snapshot in a lane: gates';
COMMENT ON INDEX ix_pkg_evaluations_sampled IS 'evaluations that can be replayed';
COMMENT ON INDEX ix_pkg_evaluations_created IS 'evaluations of a stretch of time; retention';
