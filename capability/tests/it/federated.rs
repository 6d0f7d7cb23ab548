//! Grants between brokers: what they say is what a broker of other names is told, and neither kind is taken for the other.

use capability::{
    Claims, Expected, FEDERATED_LEEWAY_SECONDS, FederatedGrant, GrantError, GrantKey, MAX_LINEAGE,
    Possession, Request, Scope, federated_key_id, mint, mint_federated, verify, verify_federated,
};
use proptest::prelude::*;

use super::forge::{BROKER, NOW, claims, expected, keys};

const SEED: [u8; 32] = [7; 32];
const FAR: &str = "https://far";

fn grant() -> FederatedGrant {
    let claims = Claims { audience: FAR.to_owned(), ..claims() };
    FederatedGrant { claims, lineage: vec!["a-1_".to_owned(), "b".to_owned()] }
}

fn at_far(now: u64) -> Expected<'static> {
    Expected { issuer: BROKER, audience: FAR, now, possession: Possession::Bearer }
}

#[test]
fn what_one_broker_says_another_reads() {
    let key = GrantKey::from_seed(SEED);
    let token = mint_federated(&key, &grant()).unwrap();
    assert_eq!(verify_federated(&token, &keys(&key), &at_far(NOW)), Ok(grant()));
    assert_eq!(federated_key_id(&token).as_deref(), Ok(key.id()));
    let other = GrantKey::from_seed([8; 32]);
    assert_eq!(verify_federated(&token, &keys(&other), &at_far(NOW)), Err(GrantError::UnknownKey));
    let elsewhere = Expected { audience: "https://third", ..at_far(NOW) };
    assert_eq!(verify_federated(&token, &keys(&key), &elsewhere), Err(GrantError::WrongAudience));
    let from_another = Expected { issuer: "https://third", ..at_far(NOW) };
    assert_eq!(verify_federated(&token, &keys(&key), &from_another), Err(GrantError::WrongIssuer));
}

#[test]
fn neither_kind_of_grant_is_taken_for_the_other() {
    let key = GrantKey::from_seed(SEED);
    let own = Claims { audience: FAR.to_owned(), ..claims() };
    let agents = mint(&key, &own).unwrap();
    let refused = verify_federated(&agents, &keys(&key), &at_far(NOW));
    assert!(matches!(refused, Err(GrantError::Unsupported(_))), "an agent's: {refused:?}");
    let at_home = FederatedGrant { claims: claims(), lineage: Vec::new() };
    let abroad = mint_federated(&key, &at_home).unwrap();
    let refused = verify(&abroad, &keys(&key), &expected(NOW));
    assert!(matches!(refused, Err(GrantError::Unsupported(_))), "a broker's: {refused:?}");
}

#[test]
fn clocks_may_differ_by_so_much_and_no_more() {
    let key = GrantKey::from_seed(SEED);
    let token = mint_federated(&key, &grant()).unwrap();
    let at = |now| verify_federated(&token, &keys(&key), &at_far(now)).map(drop);
    assert_eq!(at(NOW - FEDERATED_LEEWAY_SECONDS), Ok(()));
    assert_eq!(at(NOW - FEDERATED_LEEWAY_SECONDS - 1), Err(GrantError::NotYetValid));
    assert_eq!(at(NOW + 899 + FEDERATED_LEEWAY_SECONDS), Ok(()));
    assert_eq!(at(NOW + 900 + FEDERATED_LEEWAY_SECONDS), Err(GrantError::Expired));
}

#[test]
fn what_is_no_lineage_is_neither_minted_nor_read() {
    let key = GrantKey::from_seed(SEED);
    let too_many = vec!["a".to_owned(); MAX_LINEAGE + 1];
    for lineage in [too_many, vec![String::new()], vec!["https://a".to_owned()], vec!["a".repeat(65)]] {
        let minted = mint_federated(&key, &FederatedGrant { lineage, ..grant() });
        assert!(matches!(minted, Err(GrantError::Unmintable(_))), "{minted:?}");
    }
    let everything = Claims { scope: Scope::top(), ..grant().claims };
    let minted = mint_federated(&key, &FederatedGrant { claims: everything, ..grant() });
    assert_eq!(minted, Err(GrantError::UnboundedScope));
}

/// Agents here, and what they are called there; two of them are the same one.
const NAMES: [(&str, &str); 3] = [("a", "x"), ("ab", "a"), ("b", "a")];

fn texts() -> impl Strategy<Value = Vec<String>> {
    let segment = prop_oneof![Just("a"), Just("ab"), Just("b"), Just("c"), Just("x"), Just("a*"), Just("*")];
    let path = (prop::collection::vec(segment, 1..3), any::<bool>())
        .prop_map(|(segments, rest)| format!("{}{}", segments.join("/"), if rest { "/**" } else { "" }));
    let limit = prop_oneof![3 => Just(""), 1 => Just("{exp<1000001}"), 1 => Just("{hops<=1}")];
    let text = (prop_oneof![4 => Just("a2a:skill/"), 1 => Just("mcp:tool/")], path, limit)
        .prop_map(|(kind, path, limit)| format!("{kind}{path}{limit}"));
    prop::collection::vec(text, 0..5)
}

fn admits(scope: &Scope, (space, kind): (&str, &str), path: &[&str], hop: u32, time: u64) -> bool {
    scope.admits(&Request { space, kind, path, args: &[], time, hop, recent: &[] })
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn abroad_exactly_that_may_be_asked_of_an_agent_that_may_be_asked_of_it_here(
        texts in texts(),
        skill in prop_oneof![Just("a"), Just("b"), Just("zz")],
        (hop, time) in (0_u32..3, 1_000_000_u64..1_000_003),
    ) {
        let here = Scope::parse(&texts).unwrap();
        let there = here.renamed(&NAMES).unwrap();
        for name in ["a", "ab", "b", "c", "x"] {
            let known_as = NAMES.iter().filter(|(_, remote)| *remote == name);
            let may = known_as.into_iter().any(|(local, _)| admits(&here, ("a2a", "skill"), &[local, skill], hop, time));
            prop_assert_eq!(admits(&there, ("a2a", "skill"), &[name, skill], hop, time), may, "{}: {:?}", name, there.texts());
            let tool = ("mcp", "tool");
            prop_assert_eq!(admits(&there, tool, &[name, skill], hop, time), admits(&here, tool, &[name, skill], hop, time));
        }
    }
}

#[test]
fn everything_stays_everything_and_nobody_is_known_to_an_empty_list() {
    assert!(Scope::top().renamed(&NAMES).unwrap().is_top());
    let here = Scope::parse(["a2a:skill/**", "a2a:skill/a/b", "mcp:tool/search"]).unwrap();
    assert_eq!(here.renamed(&[]).unwrap(), Scope::parse(["mcp:tool/search"]).unwrap());
    let whole = Scope::parse(["a2a:skill/**"]).unwrap().renamed(&NAMES).unwrap();
    assert_eq!(whole, Scope::parse(["a2a:skill/a/**", "a2a:skill/x/**"]).unwrap());
}
