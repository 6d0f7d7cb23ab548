//! The same operations under criterion, for distributions and comparison between revisions.

use capability_compared::measured::operations;
use criterion::{Criterion, criterion_group, criterion_main};

fn authority(criterion: &mut Criterion) {
    for operation in operations() {
        criterion.bench_function(&operation.name, |bencher| bencher.iter(|| (operation.run)()));
    }
}

criterion_group!(benches, authority);
criterion_main!(benches);
