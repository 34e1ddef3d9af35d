;; Asks for ever, each time for another name.
(import "retain:plugin/surroundings@0.1.0" "marked" (func $marked (param i32 i32 i32 i32)))
(func (export "retain:plugin/reviewer@0.1.0#review") (param $list i32) (param $count i32) (result i32)
  (local $n i32) (local $left i32) (local $at i32)
  (loop $again
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (local.set $left (local.get $n))
    (local.set $at (i32.const 256))
    (loop $digit
      (i32.store8 (local.get $at) (i32.add (i32.const 97) (i32.and (local.get $left) (i32.const 15))))
      (local.set $left (i32.shr_u (local.get $left) (i32.const 4)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $digit (i32.lt_u (local.get $at) (i32.const 264))))
    (call $marked (i32.const 0) (i32.const 256) (i32.const 8) (i32.const 1024))
    (br $again))
  unreachable)
