DROP VIEW IF EXISTS graph_embeddings;
DROP TABLE IF EXISTS graph_embeddings_1024;
DROP TABLE IF EXISTS graph_embeddings_128;
-- The revision's own rows; what is left is somebody's.
DELETE FROM encoder WHERE encoder_id IN (1, 2);
