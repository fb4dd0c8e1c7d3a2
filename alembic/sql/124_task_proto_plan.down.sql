DROP TABLE IF EXISTS task_proto_plan;
