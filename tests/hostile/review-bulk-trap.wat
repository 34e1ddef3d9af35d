;; Traps.
(func (export "retain:plugin/bulk-reviewer@0.1.0#review") (param $batch i32) (result i32)
  (local $count i32)
  (local.set $count (i32.load offset=20 (local.get $batch)))
  unreachable)
