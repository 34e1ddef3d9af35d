;; Traps on files whose name begins with `b`, and lets the others go.
(func (export "retain:plugin/bulk-reviewer@0.1.0#review") (param $batch i32) (result i32)
  (local $count i32) (local $n i32) (local $begin i32)
  (local.set $count (i32.load offset=20 (local.get $batch)))
  (block $end
    (loop $next
      (br_if $end (i32.eq (local.get $n) (local.get $count)))
      (if (i32.eq
            (i32.load8_u (i32.add (i32.load (local.get $batch)) (local.get $begin)))
            (i32.const 98))
        (then unreachable))
      (local.set $begin (i32.load (i32.add
        (i32.load offset=16 (local.get $batch))
        (i32.shl (local.get $n) (i32.const 2)))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br $next)))
  (call $columns (local.get $count) (i32.const 1) (i32.const 0) (i32.const 0)))
