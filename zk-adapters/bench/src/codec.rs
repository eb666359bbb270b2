//! The codec's cases, as the benches of time have them.

use core::hint::black_box;

use crate::{
    Measured,
    cases::{
        Case, CutFrames, DecodeChildren, DecodeCreate, DecodeGetData, DecodeMulti, EncodeChildren,
        EncodeCreate, EncodeGetData, EncodeMulti, ReadGetData, for_each_case,
    },
};

macro_rules! measured {
    ($($case:ty),+) => {
        /// All of them.
        pub(crate) fn all() -> Vec<Measured> {
            vec![$(of::<$case>(stringify!($case))),+]
        }
    };
}

for_each_case!(measured);

fn of<C: Case>(name: &str) -> Measured {
    let run = |turns| {
        let mut case = C::new();
        (0..turns).for_each(|_| _ = black_box(case.run(case.payload())));
    };
    // How the compiler writes a type is its own affair.
    let name = format!("codec {}, {} bytes", name.replace(' ', ""), C::new().frame().len());
    Measured { name, turns: 64, operations: 1, run: Box::new(run) }
}
