"""Policy: snapshots of rules, stored, tested, promoted and rolled out."""
