//! Time of an operation, next to memcpy of the same bytes in the same run: `cargo bench -p zk-proto --bench time`.

mod cases;

use cases::*;
use divan::Bencher;
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

macro_rules! benches {
    ($($case:ty),+) => {
        #[divan::bench(types = [$($case),+])]
        fn codec<C: Case>(bencher: Bencher<'_, '_>) {
            let mut case = C::new();
            let bytes = BytesCount::new(case.frame().len());
            let input = C::new();
            bencher.counter(bytes).with_inputs(|| input.payload()).bench_local_values(|payload| case.run(payload));
        }

        #[divan::bench(types = [$($case),+])]
        fn memcpy<C: Case>(bencher: Bencher<'_, '_>) {
            let case = C::new();
            let frame = case.frame();
            let mut to = vec![0; frame.len()];
            bencher.counter(BytesCount::new(frame.len())).bench_local(|| {
                divan::black_box(&mut to).copy_from_slice(divan::black_box(frame));
            });
        }
    };
}

for_each_case!(benches);
