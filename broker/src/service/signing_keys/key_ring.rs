//! The keys of one purpose, over time. A key is published before it signs, so that whoever keeps a copy of the key set
//! knows it in time; it verifies for as long as what it signed last is to count.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use capability::{Algorithm, GrantKey, KeyError, KeySet};
use serde::{Deserialize, Serialize};

/// From a key's publication to its first signature, in seconds: twice as long as the key set may be kept.
pub(super) const PUBLICATION_LEAD_SECONDS: u64 = 600;

/// Keys in the order in which they sign.
#[derive(Default)]
pub(in crate::service) struct KeyRing {
    entries: Vec<Entry>,
    published: KeySet,
}

#[derive(Clone)]
struct Entry {
    key: GrantKey,
    stored: Stored,
}

/// A key as it is kept. Secret.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    algorithm: Algorithm,
    /// 32 bytes in base64url.
    secret: String,
    /// Seconds since the epoch.
    signs_from: u64,
}

impl KeyRing {
    /// Reads what [`Self::write`] wrote.
    pub(super) fn read(document: &[u8]) -> Result<Self, String> {
        let stored: Vec<Stored> =
            serde_json::from_slice(document).map_err(|_| "the stored keys cannot be read".to_owned())?;
        let entry = |stored: Stored| {
            let secret = URL_SAFE_NO_PAD.decode(&stored.secret).ok().and_then(|bytes| bytes.try_into().ok());
            let secret = secret.ok_or_else(|| "a stored key is not of 32 bytes".to_owned())?;
            let key = GrantKey::of(stored.algorithm, secret).map_err(|error| error.to_string())?;
            Ok(Entry { key, stored })
        };
        stored.into_iter().map(entry).collect()
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&self.entries.iter().map(|entry| &entry.stored).collect::<Vec<_>>())
    }

    /// The ring with one more key, which signs from some time on.
    pub(super) fn with(
        &self,
        algorithm: Algorithm,
        secret: [u8; 32],
        signs_from: u64,
    ) -> Result<Self, KeyError> {
        let key = GrantKey::of(algorithm, secret)?;
        let stored = Stored { algorithm, secret: URL_SAFE_NO_PAD.encode(secret), signs_from };
        Ok(self.entries.iter().cloned().chain([Entry { key, stored }]).collect())
    }

    /// The ring without keys that can have signed nothing that still counts: `overlap` seconds after their last signature.
    pub(super) fn without_retired(&self, overlap: u64, now: u64) -> Self {
        let ends = self.entries.iter().skip(1).map(|next| next.stored.signs_from);
        let ends = ends.map(|end| end.saturating_add(overlap)).chain([u64::MAX]);
        let kept = self.entries.iter().zip(ends).filter(|(_, end)| *end > now);
        kept.map(|(entry, _)| entry.clone()).collect()
    }

    /// The ring with its last key only, whatever the others have signed.
    pub(super) fn only_last(&self) -> Self {
        self.entries.last().cloned().into_iter().collect()
    }

    /// The key that signs now: the last one whose time has come, or the first should the clock have been set back.
    pub(in crate::service) fn signing(&self, now: u64) -> Option<&GrantKey> {
        let due = self.entries.iter().rfind(|entry| entry.stored.signs_from <= now);
        due.or(self.entries.first()).map(|entry| &entry.key)
    }

    /// All keys, those to come included.
    pub(in crate::service) fn published(&self) -> &KeySet {
        &self.published
    }

    /// Whether the last key is still to come.
    pub(super) fn is_changing(&self, now: u64) -> bool {
        self.entries.last().is_some_and(|last| last.stored.signs_from > now)
    }

    /// Whether the next key should be made: there is none, the last is old enough, or of another algorithm. Made a
    /// lead early, it signs when the last one's time is up.
    pub(super) fn is_due(&self, algorithm: Algorithm, every: u64, now: u64) -> bool {
        let Some(last) = self.entries.last() else { return true };
        let age = now.saturating_sub(last.stored.signs_from).saturating_add(PUBLICATION_LEAD_SECONDS);
        let is_old = every > 0 && age >= every.max(PUBLICATION_LEAD_SECONDS);
        !self.is_changing(now) && (is_old || last.stored.algorithm != algorithm)
    }

    /// (id, algorithm, signs from) of every key, in order.
    pub(in crate::service) fn iter(&self) -> impl Iterator<Item = (&str, Algorithm, u64)> {
        self.entries.iter().map(|entry| (entry.key.id(), entry.stored.algorithm, entry.stored.signs_from))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl FromIterator<Entry> for KeyRing {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let published = entries.iter().map(|entry| entry.key.verify_key()).collect();
        Self { entries, published }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const OVERLAP: u64 = 960;

    fn ids(ring: &KeyRing) -> Vec<String> {
        ring.iter().map(|(id, ..)| id.to_owned()).collect()
    }

    #[test]
    fn a_key_is_known_before_it_signs_and_until_what_it_signed_has_expired() {
        let ring = KeyRing::default().with(Algorithm::EdDsa, [1; 32], 0).unwrap();
        assert!(!ring.is_due(Algorithm::EdDsa, 30 * DAY, 30 * DAY - PUBLICATION_LEAD_SECONDS - 1));
        let now = 30 * DAY - PUBLICATION_LEAD_SECONDS;
        assert!(ring.is_due(Algorithm::EdDsa, 30 * DAY, now) && !ring.is_due(Algorithm::EdDsa, 0, now));
        assert!(ring.is_due(Algorithm::Es256, 0, 1), "another algorithm is wanted");
        let both = ring.with(Algorithm::Es256, [2; 32], now + PUBLICATION_LEAD_SECONDS).unwrap();
        let [old, new] = <[String; 2]>::try_from(ids(&both)).unwrap();
        assert!(both.published().find(&old).is_some() && both.published().find(&new).is_some());
        assert!(both.is_changing(now) && !both.is_due(Algorithm::EdDsa, 1, now), "one change at a time");
        let change = now + PUBLICATION_LEAD_SECONDS;
        assert_eq!(both.signing(change - 1).unwrap().id(), old);
        assert_eq!(both.signing(change).unwrap().id(), new);
        assert_eq!(both.without_retired(OVERLAP, change + OVERLAP - 1).len(), 2);
        let after = both.without_retired(OVERLAP, change + OVERLAP);
        assert_eq!(ids(&after), std::slice::from_ref(&new));
        assert!(after.published().find(&old).is_none());
        assert_eq!(ids(&both.only_last()), [new]);
    }

    #[test]
    fn what_is_stored_comes_back_and_damage_is_told_without_the_secret() {
        let ring = KeyRing::default().with(Algorithm::EdDsa, [1; 32], 5).unwrap();
        let ring = ring.with(Algorithm::Es256, [2; 32], 9).unwrap();
        let again = KeyRing::read(&ring.write().unwrap()).unwrap();
        assert_eq!(ring.iter().collect::<Vec<_>>(), again.iter().collect::<Vec<_>>());
        for damaged in ["", "[{}]", r#"[{"algorithm":"EdDSA","secret":"AAAA","signs_from":1}]"#] {
            let problem = KeyRing::read(damaged.as_bytes()).err().unwrap();
            assert!(!problem.contains("AAAA"), "{problem}");
        }
    }
}
