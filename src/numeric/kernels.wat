;; Float32 kernels on 4 lanes. Pointers and strides are in bytes. Rows are `width` bytes long, a multiple of 32, padded with
;; zeros. `npm run build:kernels` turns this file into kernels-wasm.ts.
(module
  (import "js" "memory" (memory 1))

  (func $sum (param $v v128) (result f32)
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $v)) (f32x4.extract_lane 1 (local.get $v)))
      (f32.add (f32x4.extract_lane 2 (local.get $v)) (f32x4.extract_lane 3 (local.get $v)))))

  ;; out[0..4] = a . b[0..4], each product summed in the same order as $dot1 does
  (func $dot4 (param $a i32) (param $b0 i32) (param $width i32) (param $out i32)
    (local $b1 i32) (local $b2 i32) (local $b3 i32) (local $end i32) (local $x v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
    (local.set $end (i32.add (local.get $a) (local.get $width)))
    (local.set $b1 (i32.add (local.get $b0) (local.get $width)))
    (local.set $b2 (i32.add (local.get $b1) (local.get $width)))
    (local.set $b3 (i32.add (local.get $b2) (local.get $width)))
    (loop $next
      (local.set $x (v128.load (local.get $a)))
      (local.set $s0 (f32x4.add (local.get $s0) (f32x4.mul (local.get $x) (v128.load (local.get $b0)))))
      (local.set $s1 (f32x4.add (local.get $s1) (f32x4.mul (local.get $x) (v128.load (local.get $b1)))))
      (local.set $s2 (f32x4.add (local.get $s2) (f32x4.mul (local.get $x) (v128.load (local.get $b2)))))
      (local.set $s3 (f32x4.add (local.get $s3) (f32x4.mul (local.get $x) (v128.load (local.get $b3)))))
      (local.set $x (v128.load offset=16 (local.get $a)))
      (local.set $s0 (f32x4.add (local.get $s0) (f32x4.mul (local.get $x) (v128.load offset=16 (local.get $b0)))))
      (local.set $s1 (f32x4.add (local.get $s1) (f32x4.mul (local.get $x) (v128.load offset=16 (local.get $b1)))))
      (local.set $s2 (f32x4.add (local.get $s2) (f32x4.mul (local.get $x) (v128.load offset=16 (local.get $b2)))))
      (local.set $s3 (f32x4.add (local.get $s3) (f32x4.mul (local.get $x) (v128.load offset=16 (local.get $b3)))))
      (local.set $b0 (i32.add (local.get $b0) (i32.const 32)))
      (local.set $b1 (i32.add (local.get $b1) (i32.const 32)))
      (local.set $b2 (i32.add (local.get $b2) (i32.const 32)))
      (local.set $b3 (i32.add (local.get $b3) (i32.const 32)))
      (br_if $next (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 32))) (local.get $end))))
    (f32.store (local.get $out) (call $sum (local.get $s0)))
    (f32.store offset=4 (local.get $out) (call $sum (local.get $s1)))
    (f32.store offset=8 (local.get $out) (call $sum (local.get $s2)))
    (f32.store offset=12 (local.get $out) (call $sum (local.get $s3))))

  (func $dot1 (param $a i32) (param $b i32) (param $width i32) (result f32)
    (local $end i32) (local $s v128)
    (local.set $end (i32.add (local.get $a) (local.get $width)))
    (loop $next
      (local.set $s (f32x4.add (local.get $s) (f32x4.mul (v128.load (local.get $a)) (v128.load (local.get $b)))))
      (local.set $s
        (f32x4.add (local.get $s) (f32x4.mul (v128.load offset=16 (local.get $a)) (v128.load offset=16 (local.get $b)))))
      (local.set $b (i32.add (local.get $b) (i32.const 32)))
      (br_if $next (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 32))) (local.get $end))))
    (call $sum (local.get $s)))

  ;; out[i] = a . b[i] for the `count` rows of b
  (func (export "dots") (param $a i32) (param $b i32) (param $count i32) (param $width i32) (param $out i32)
    (block $fewer
      (loop $next
        (br_if $fewer (i32.lt_u (local.get $count) (i32.const 4)))
        (call $dot4 (local.get $a) (local.get $b) (local.get $width) (local.get $out))
        (local.set $b (i32.add (local.get $b) (i32.shl (local.get $width) (i32.const 2))))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 4)))
        (br $next)))
    (block $none
      (loop $next
        (br_if $none (i32.eqz (local.get $count)))
        (f32.store (local.get $out) (call $dot1 (local.get $a) (local.get $b) (local.get $width)))
        (local.set $b (i32.add (local.get $b) (local.get $width)))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  ;; row = row + the sum of factors[i] x b[i] over the `count` rows of b, eight columns at a time; count > 0
  (func (export "addRows") (param $row i32) (param $factors i32) (param $b i32) (param $count i32) (param $width i32)
    (local $end i32) (local $lastFactor i32) (local $factor i32) (local $at i32)
    (local $f v128) (local $s0 v128) (local $s1 v128)
    (local.set $end (i32.add (local.get $row) (local.get $width)))
    (local.set $lastFactor (i32.add (local.get $factors) (i32.shl (local.get $count) (i32.const 2))))
    (loop $columns
      (local.set $factor (local.get $factors))
      (local.set $at (local.get $b))
      (local.set $s0 (v128.load (local.get $row)))
      (local.set $s1 (v128.load offset=16 (local.get $row)))
      (loop $rows
        (local.set $f (v128.load32_splat (local.get $factor)))
        (local.set $s0 (f32x4.add (local.get $s0) (f32x4.mul (local.get $f) (v128.load (local.get $at)))))
        (local.set $s1 (f32x4.add (local.get $s1) (f32x4.mul (local.get $f) (v128.load offset=16 (local.get $at)))))
        (local.set $at (i32.add (local.get $at) (local.get $width)))
        (br_if $rows
          (i32.lt_u (local.tee $factor (i32.add (local.get $factor) (i32.const 4))) (local.get $lastFactor))))
      (v128.store (local.get $row) (local.get $s0))
      (v128.store offset=16 (local.get $row) (local.get $s1))
      (local.set $b (i32.add (local.get $b) (i32.const 32)))
      (br_if $columns (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 32))) (local.get $end))))))
