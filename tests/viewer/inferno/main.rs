// SPDX-License-Identifier: MIT
// Collapsed stacks on standard input; the flame graph that inferno makes of them, with every frame, on standard output.
use inferno::flamegraph::{from_reader, Options};
use std::io::{stdin, stdout};

fn main() {
    let mut options = Options::default();
    options.min_width = 0.0;
    options.count_name = "ns".into();
    from_reader(&mut options, stdin().lock(), stdout().lock()).expect("no stacks");
}
