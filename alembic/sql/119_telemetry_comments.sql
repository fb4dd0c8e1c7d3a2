COMMENT ON INDEX idx_task_router_telemetry_task_id IS 'decisions of one task; deleting a task';
COMMENT ON INDEX idx_task_router_telemetry_chosen_route IS 'decisions for a rare route';
COMMENT ON INDEX idx_task_router_telemetry_created_at IS 'newest decisions; retention';
COMMENT ON INDEX idx_task_router_telemetry_route_created IS 'newest decisions for one route';
COMMENT ON INDEX idx_task_router_telemetry_ocps_metadata IS 'decisions by what their drift state contains';
