;; Traps on files whose name begins with `b`, and lets the others go.
(func (export "retain:plugin/reviewer@0.1.0#review") (param $list i32) (param $count i32) (result i32)
  (local $at i32) (local $left i32)
  (local.set $at (local.get $list))
  (local.set $left (local.get $count))
  (block $end
    (loop $next
      (br_if $end (i32.eqz (local.get $left)))
      (if (i32.eq (i32.load8_u (i32.load offset=20 (local.get $at))) (i32.const 98)) (then unreachable))
      (local.set $at (i32.add (local.get $at) (i32.const 112)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))
  (call $verdicts (local.get $count) (i32.const 0)))
