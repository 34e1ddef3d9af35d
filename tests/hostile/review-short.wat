;; Gives one verdict too few.
(func (export "retain:plugin/reviewer@0.1.0#review") (param $list i32) (param $count i32) (result i32)
  (call $verdicts (i32.sub (local.get $count) (i32.const 1)) (i32.const 0)))
