;; Says that its answers lie beyond its memory.
(func (export "retain:plugin/bulk-reviewer@0.1.0#review") (param $batch i32) (result i32)
  (local $count i32)
  (local.set $count (i32.load offset=20 (local.get $batch)))
  (drop (call $columns (local.get $count) (i32.const 1) (i32.const 0) (i32.const 0)))
  (i32.store (i32.const 2064) (i32.const -2))
  (i32.const 2064))
