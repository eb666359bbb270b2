//! What must hold of a session, whatever its driver, its server and its application do: the bytes choose a walk.

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config as Proptest, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    acts::{Act, any_config},
    choices::Choices,
    promises::{self, Walk},
};

/// Books are kept beside the session, which is closed in the end.
pub fn session(data: &[u8]) {
    promises::keeps_its_promises_and_can_be_closed(walk(&mut Choices::new(data)));
}

/// What arrives comes in pieces, as long as the first two bytes say in turn.
pub fn splits(data: &[u8]) {
    let mut choices = Choices::new(data);
    let lengths = [choices.byte(), choices.byte()];
    let mut lengths = lengths.iter().cycle();
    let piece = || lengths.next().map_or(1, |len| usize::from(len % 40) + 1);
    promises::is_the_same_in_pieces(walk(&mut choices), piece);
}

fn walk(choices: &mut Choices<'_>) -> Walk {
    let mut seed = [0; 32];
    seed[0] = choices.byte();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Proptest::default(), rng);
    let config = any_config().new_tree(&mut runner).expect("nothing is filtered out").current();
    let mut acts = Vec::new();
    while !choices.are_used_up() && acts.len() < MOST_ACTS {
        acts.push(act(choices));
    }
    (config, acts)
}

fn act(choices: &mut Choices<'_>) -> Act {
    match choices.byte() {
        byte @ 0..32 => Act::Undrained(Box::new(plain(byte % 24, choices))),
        byte => plain(byte % 64, choices),
    }
}

/// Mostly what keeps a session going.
fn plain(what: u8, choices: &mut Choices<'_>) -> Act {
    match what {
        0..12 => {
            let (what, path) = (choices.byte(), choices.byte() % 4);
            let deadline = (what % 5 == 0).then(|| choices.short());
            Act::Submit { what, path, retry: path % 2 == 0, deadline }
        }
        12 | 13 => Act::Cancel(choices.byte()),
        14 | 15 => Act::RemoveWatch(choices.byte()),
        16 => Act::AddAuth(choices.byte() % 4),
        17 => Act::UpdateServers(choices.byte()),
        18 => Act::Stale { back: choices.byte(), what: choices.byte() },
        19 => Act::Probed(choices.one_in(2)),
        20 => Act::Close,
        21..24 => Act::Cut,
        24..34 => Act::Connect,
        34..44 => Act::Answer,
        44..46 => Act::Refuse(choices.byte()),
        46..49 => Act::Notify { event: choices.byte() % 8, path: choices.byte() % 4 },
        49 => Act::Early { position: choices.byte(), code: choices.byte() },
        50 => said(choices),
        51 => Act::Bytes(choices.bytes().to_vec()),
        52 => Act::Stall,
        53 => Act::Flow,
        54 => Act::Take(choices.byte()),
        55 => Act::CutShort(choices.byte()),
        56 | 57 => Act::Tick,
        58 | 59 => Act::Advance(choices.short()),
        60 => Act::Oversleep(choices.int().unsigned_abs() % 100_000),
        61 => Act::Backwards(choices.short()),
        62 => Act::Pieces(choices.byte() % 80 + 1),
        _ => Act::DrainOne,
    }
}

/// What a server may say, and mostly doesn't.
fn said(choices: &mut Choices<'_>) -> Act {
    match choices.byte() % 6 {
        0 => Act::Accept,
        1 => Act::AcceptOther,
        2 => Act::RefuseSession,
        3 => Act::AnswerBadly,
        4 => Act::AnswerAtLength,
        _ => Act::Say { xid: choices.byte().cast_signed(), err: choices.byte().cast_signed() },
    }
}

const MOST_ACTS: usize = 200;
