;; Traps.
(func (export "retain:plugin/reviewer@0.1.0#review") (param $list i32) (param $count i32) (result i32)
  unreachable)
