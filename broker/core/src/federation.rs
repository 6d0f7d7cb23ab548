//! How agents are named between brokers, each of which has names of its own for them.

use sha2::{Digest, Sha256};

/// Bytes of a digest that make a fingerprint: enough that nobody finds another identity with it by chance.
const FINGERPRINT_BYTES: usize = 16;

/// What stands for an agent's identity (its canonical URL) where another broker reads it: equal where that is, and says
/// no more. In hexadecimal.
pub fn fingerprint(identity: &str) -> String {
    let digest = Sha256::digest(identity);
    digest.iter().take(FINGERPRINT_BYTES).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What an agent is called in a grant for another broker: its name at its own broker, and that one's URL as a word that can
/// stand in a capability, such as `translator@https:agents.example.com`. Names at a broker hold no `@`, so that neither is
/// taken for the other; two URLs are two words.
pub fn full_name(agent: &str, broker: &str) -> String {
    let (scheme, rest) = broker.split_once("://").unwrap_or(("", broker));
    let rest = rest.replace('~', "~~").replace('/', "~-");
    format!("{agent}@{scheme}:{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_can_be_granted_and_is_one_brokers_alone() {
        let urls = [
            "https://b",
            "http://b",
            "https://b:80",
            "https://b/80",
            "https://b/~",
            "https://b/~-",
            "https://b//-",
        ];
        let names: Vec<String> = urls.iter().map(|url| full_name("a", url)).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name} stands for two");
            let invoke = capability::Capability::invoke(name, "s");
            let text = invoke.to_string();
            assert_eq!(text.parse::<capability::Capability>().as_ref(), Ok(&invoke), "{text}");
        }
        assert_eq!(names[0], "a@https:b");
    }
}
