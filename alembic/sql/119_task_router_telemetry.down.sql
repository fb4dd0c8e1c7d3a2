DROP VIEW IF EXISTS task_router_route_stats;
DROP TABLE IF EXISTS task_router_telemetry;
