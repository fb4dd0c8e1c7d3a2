CREATE OR REPLACE VIEW energy_balance_check AS
SELECT coalesce(b.scope, t.scope) AS scope,
       coalesce(b.scope_id, t.scope_id) AS scope_id,
       b.balance AS stored,
       coalesce(t.balance, 0) AS recomputed,
       coalesce(b.balance, 0) - coalesce(t.balance, 0) AS drift
FROM energy_balance AS b
FULL JOIN (
    SELECT x.scope, x.scope_id, -sum(x.delta_e + x.cost ORDER BY x.seq) AS balance
    FROM energy_tx AS x
    GROUP BY x.scope, x.scope_id
) AS t ON t.scope = b.scope AND t.scope_id = b.scope_id;
COMMENT ON VIEW energy_balance_check IS
    'Each balance as stored and as the ledger adds up; drift other than 0 calls for energy_rebuild().';
