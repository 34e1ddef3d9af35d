;; Gives one verdict too many.
(func (export "retain:plugin/reviewer@0.1.0#review") (param $list i32) (param $count i32) (result i32)
  (call $verdicts (i32.add (local.get $count) (i32.const 1)) (i32.const 0)))
