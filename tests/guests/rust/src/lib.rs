// SPDX-License-Identifier: MIT
//! What a Python extension in Rust does: threads without the GIL, calls back into Python, a panic.
use pyo3::prelude::*;
use std::thread;

fn mix(rounds: u64, seed: u64) -> u64 {
    (0..rounds * 1_000_000).fold(seed, |x, i| (x ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17))
}

/// As many threads, of `millions` of rounds each.
#[pyfunction]
fn crunch(py: Python<'_>, threads: u64, millions: u64) -> u64 {
    py.allow_threads(|| {
        let made: Vec<_> = (0..threads).map(|k| thread::spawn(move || mix(millions, k))).collect();
        made.into_iter().fold(mix(millions, threads), |sum, t| sum ^ t.join().unwrap())
    })
}

#[pyfunction]
fn call_back(f: Bound<'_, PyAny>, times: u64) -> PyResult<u64> {
    (0..times).map(|i| f.call1((i % 100,))?.extract::<u64>()).sum()
}

#[pyfunction]
fn panics() {
    panic!("on purpose");
}

#[pymodule]
fn guest_of_rust(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(crunch, m)?)?;
    m.add_function(wrap_pyfunction!(call_back, m)?)?;
    m.add_function(wrap_pyfunction!(panics, m)?)
}
