//! What a quota allows, and when it allows more.

use broker_core::Timestamp;
use broker_core::quota::{Bound, Meter, Quota, Share};
use capability::ledger::{Amounts, Ceilings, Unit};
use proptest::prelude::*;

/// Noon of some day, milliseconds.
const NOON_MS: i64 = 20_000 * 86_400_000 + 43_200_000;

fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(NOON_MS + offset_ms)
}

fn tokens(amount: u64) -> Amounts {
    Amounts { tokens: amount, ..Amounts::default() }
}

fn of_tokens(limit: u64) -> Quota {
    let budget_per_day = Ceilings { tokens: Some(limit), ..Ceilings::default() };
    Quota { budget_per_day, ..Quota::default() }
}

#[test]
fn a_minutes_messages_may_come_at_once_and_the_next_when_it_says() {
    let quota = Quota { messages_per_minute: Some(3), ..Quota::default() };
    let mut meter = Meter::default();
    for _ in 0..3 {
        meter.check_message(&quota, at(0)).unwrap();
        meter.take_message(&quota, at(0));
    }
    let refused = meter.check_message(&quota, at(0)).unwrap_err();
    assert_eq!((refused.bound, refused.limit, refused.retry_after), (Bound::Messages, 3, 20));
    assert!(meter.check_message(&quota, at(19_000)).is_err());
    meter.check_message(&quota, at(20_000)).unwrap();
    assert_eq!(meter.read(&quota, at(0)).messages, 3);
    assert_eq!(meter.read(&quota, at(60_000)).messages, 0);
}

#[test]
fn a_message_that_came_to_nothing_is_given_back() {
    let quota = Quota { messages_per_minute: Some(1), ..Quota::default() };
    let mut meter = Meter::default();
    meter.take_message(&quota, at(0));
    assert!(meter.check_message(&quota, at(0)).is_err());
    meter.give_back_message(&quota);
    meter.check_message(&quota, at(0)).unwrap();
}

#[test]
fn a_new_day_begins_with_nothing_used_and_with_what_open_tasks_hold() {
    let quota = of_tokens(1_000);
    let mut meter = Meter::default();
    meter.charge(0, &tokens(900), at(0));
    meter.move_held(&tokens(100), &Amounts::default());
    meter.check_message(&quota, at(0)).expect("what is held is for these messages");
    let refused = meter.offer(&quota, Ceilings::default(), 100, at(0)).unwrap_err();
    assert_eq!(refused.bound, Bound::Budget(Unit::Tokens), "and not for another tree");
    meter.charge(0, &tokens(100), at(0));
    let spent = meter.check_message(&quota, at(0)).unwrap_err();
    assert_eq!(spent.retry_after, 12 * 3_600, "it is noon, and nothing comes back before midnight");
    let tomorrow = at(12 * 3_600_000);
    meter.check_message(&quota, tomorrow).unwrap();
    assert_eq!(meter.offer(&quota, Ceilings::default(), 100, tomorrow).unwrap().tokens, Some(900));
}

#[test]
fn who_asks_for_no_budget_gets_a_share_and_who_asks_for_too_much_nothing() {
    let quota = of_tokens(1_000);
    let meter = Meter::default();
    assert_eq!(meter.offer(&quota, Ceilings::default(), 50, at(0)).unwrap().tokens, Some(500));
    let asked = Ceilings { tokens: Some(1_001), ..Ceilings::default() };
    assert_eq!(meter.offer(&quota, asked, 50, at(0)).unwrap_err().bound, Bound::Budget(Unit::Tokens));
    let never = meter.offer(&quota, asked, 50, at(0)).unwrap_err();
    assert_eq!(never.retry_after, 12 * 3_600, "there is never so much in a day");
    assert!(meter.offer(&of_tokens(1), Ceilings::default(), 50, at(0)).is_err(), "half of one is nothing");
    let others = Ceilings { usd: Some(7), ..Ceilings::default() };
    assert_eq!(
        meter.offer(&quota, others, 50, at(0)).unwrap().usd,
        Some(7),
        "another unit is not its business"
    );
}

/// One quota that several brokers meter, each of which tells the others all it knows.
struct Shared {
    meters: Vec<Meter>,
    /// How many messages of each the others have heard of.
    heard: Vec<u64>,
}

impl Shared {
    fn new(brokers: usize) -> Self {
        Self { meters: vec![Meter::default(); brokers], heard: vec![0; brokers] }
    }

    fn exchange(&mut self, quota: &Quota, now: Timestamp) {
        let shares: Vec<Share> = self.meters.iter().map(Meter::share).collect();
        let news: Vec<u64> =
            shares.iter().zip(&self.heard).map(|(share, heard)| share.messages - heard).collect();
        for (own, meter) in self.meters.iter_mut().enumerate() {
            let others = |all: usize| all != own;
            let of_others =
                shares.iter().enumerate().filter(|(all, _)| others(*all)).map(|(_, share)| *share);
            let messages =
                news.iter().enumerate().filter(|(all, _)| others(*all)).map(|(_, news)| news).sum();
            meter.hear(quota, Share::together(of_others, now), messages, now);
        }
        self.heard = shares.iter().map(|share| share.messages).collect();
    }
}

#[test]
fn of_a_broker_that_is_gone_only_what_was_used_for_good_still_counts() {
    let (quota, mut gone) = (of_tokens(1_000), Meter::default());
    gone.move_held(&tokens(600), &Amounts::default());
    gone.charge(7, &tokens(300), at(0));
    gone.begin_call();
    gone.move_open(3, 0);
    let mut meter = Meter::default();
    meter.hear(&quota, Share::together([gone.share()], at(0)), 0, at(0));
    let read = meter.read(&quota, at(0));
    assert_eq!((read.spent.tokens, read.held.tokens, read.open_tasks, read.calls), (300, 600, 3, 1));
    meter.hear(&quota, Share::together([gone.share().left_behind()], at(0)), 0, at(0));
    let read = meter.read(&quota, at(0));
    assert_eq!((read.spent.tokens, read.bytes), (300, 7));
    assert_eq!((read.held.tokens, read.open_tasks, read.calls), (0, 0, 0));
    assert!(!meter.is_idle(at(0)), "what was used elsewhere is not forgotten");
    assert!(meter.is_idle(at(12 * 3_600_000)), "but for the day");
}

proptest! {
    /// Brokers that have told each other what they use allow together what one would allow, no more and no less.
    #[test]
    fn brokers_that_share_a_quota_allow_what_one_allows(
        brokers in 1_usize..4,
        limits in (1_u64..20, 1_u64..6, 1_u64..9, 1_u64..3_000),
        steps in proptest::collection::vec((0_usize..4, 0_u8..6, 0_i64..20_000, 0_u64..1_000), 1..120),
    ) {
        let (rate, calls, open, limit) = limits;
        let quota = Quota {
            messages_per_minute: Some(rate),
            calls_at_once: Some(calls),
            open_tasks: Some(open),
            bytes_per_day: Some(limit * 3),
            ..of_tokens(limit)
        };
        let (mut one, mut shared, mut now) = (Meter::default(), Shared::new(brokers), 0);
        for (broker, what, pause, amount) in steps {
            now += pause * 100;
            let (here, now) = (&mut shared.meters[broker % brokers], at(now));
            match what {
                0 => {
                    let allowed = one.check_message(&quota, now);
                    prop_assert_eq!(here.check_message(&quota, now), allowed);
                    if allowed.is_ok() {
                        for meter in [&mut one, here] {
                            meter.take_message(&quota, now);
                            if amount % 4 == 0 {
                                meter.give_back_message(&quota);
                            } else {
                                meter.keep_message(&quota);
                            }
                        }
                    }
                }
                1 => {
                    let allowed = one.check_call(&quota);
                    prop_assert_eq!(here.check_call(&quota), allowed);
                    if allowed.is_ok() {
                        one.begin_call();
                        here.begin_call();
                    }
                }
                2 => {
                    let allowed = one.check_open(&quota, 1);
                    prop_assert_eq!(here.check_open(&quota, 1), allowed);
                    if allowed.is_ok() {
                        one.move_open(1, 0);
                        here.move_open(1, 0);
                    }
                }
                3 => {
                    let asked = Ceilings { tokens: Some(amount), ..Ceilings::default() };
                    let offered = one.offer(&quota, asked, 50, now);
                    prop_assert_eq!(here.offer(&quota, asked, 50, now), offered);
                    if let Ok(Ceilings { tokens: Some(held), .. }) = offered {
                        one.move_held(&tokens(held), &Amounts::default());
                        here.move_held(&tokens(held), &Amounts::default());
                    }
                }
                4 => {
                    let used = tokens(amount.min(here.share().held.tokens));
                    for meter in [&mut one, here] {
                        meter.move_held(&Amounts::default(), &used);
                        meter.charge(amount, &used, now);
                    }
                }
                _ if here.share().calls > 0 => {
                    one.end_call();
                    here.end_call();
                }
                _ => {}
            }
            shared.exchange(&quota, now);
        }
        let all = at(now);
        prop_assert!(shared.meters.iter().all(|meter| meter.read(&quota, all) == one.read(&quota, all)));
    }

    /// Whatever comes in whatever order: in no minute more than twice the rate, and never more than the rate at once.
    #[test]
    fn no_minute_has_more_messages_than_the_rate_twice(
        rate in 1_u64..50,
        pauses in proptest::collection::vec(0_i64..5_000, 1..300),
    ) {
        let quota = Quota { messages_per_minute: Some(rate), ..Quota::default() };
        let (mut meter, mut now, mut taken) = (Meter::default(), 0, Vec::new());
        for pause in pauses {
            now += pause;
            match meter.check_message(&quota, at(now)) {
                Ok(()) => {
                    meter.take_message(&quota, at(now));
                    taken.push(now);
                }
                Err(refused) => {
                    let later = now + i64::try_from(refused.retry_after).unwrap() * 1_000;
                    prop_assert!(meter.clone().check_message(&quota, at(later)).is_ok(), "it says when, and means it");
                }
            }
        }
        for (first, &from) in taken.iter().enumerate() {
            let within = taken[first..].iter().take_while(|&&at| at < from + 60_000).count();
            prop_assert!(within as u64 <= 2 * rate, "{within} of {rate}");
            let at_once = taken[first..].iter().take_while(|&&at| at == from).count();
            prop_assert!(at_once as u64 <= rate);
        }
    }

    /// Tasks that take what they are offered, use some of it and give back the rest never use more than the day has.
    #[test]
    fn what_is_spent_and_held_never_exceeds_the_day(
        limit in 1_u64..10_000,
        steps in proptest::collection::vec((proptest::option::of(0_u64..3_000), 0_u64..101, any::<bool>()), 1..60),
    ) {
        let quota = of_tokens(limit);
        let (mut meter, mut open) = (Meter::default(), Vec::new());
        for (asked, used, ends) in steps {
            let asked = Ceilings { tokens: asked, ..Ceilings::default() };
            if let Ok(offer) = meter.offer(&quota, asked, 50, at(0)) {
                prop_assert!(offer.tokens != Some(0) || asked.tokens == Some(0));
                let held = offer.tokens.unwrap();
                meter.move_held(&tokens(held), &Amounts::default());
                open.push(held);
            }
            if ends && let Some(held) = open.pop() {
                meter.charge(0, &tokens(held * used / 100), at(0));
                meter.move_held(&Amounts::default(), &tokens(held));
            }
            let read = meter.read(&quota, at(0));
            prop_assert!(read.spent.tokens + read.held.tokens <= limit);
        }
    }
}
