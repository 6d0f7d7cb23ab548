//! The ledger: what may be used up is held in escrow. A purse is opened by reserving its whole ceiling with each of its
//! parents, so no number of children can have more between them than their parent has; closing it returns the rest.
//!
//! Invariant, under any interleaving: for every purse and unit, `spent + reserved ≤ ceiling`, where `reserved` is the sum
//! of the ceilings of its open children and `spent` what it and its closed children used up.
//!
//! A purse without a ceiling for a unit is unlimited in it all the way up: one opened below a ceiling always gets one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capability::money;

/// What can be used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Money, in millionths of a dollar.
    Usd,
    /// Calls of tools and agents.
    Calls,
    /// Tokens of language models.
    Tokens,
    /// Delegations.
    Fanout,
}

impl Unit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Usd, Self::Calls, Self::Tokens, Self::Fanout];

    /// Its name in capabilities and budgets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::Fanout => "fanout",
        }
    }

    /// The unit of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }

    /// An amount of it, for people.
    pub fn format(self, amount: u64) -> String {
        if self == Self::Usd { money(amount) } else { amount.to_string() }
    }
}

/// What one delegation uses up by itself: it is a call, and a delegation.
pub const DELEGATION_FEE: Amounts = Amounts { usd: 0, calls: 1, tokens: 0, fanout: 1 };

/// So much of each unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// Millionths of a dollar.
    pub usd: u64,
    /// Calls.
    pub calls: u64,
    /// Tokens.
    pub tokens: u64,
    /// Delegations.
    pub fanout: u64,
}

/// A ceiling for each unit; `None` is no ceiling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ceilings {
    /// Millionths of a dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<u64>,
    /// Calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Delegations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fanout: Option<u64>,
}

impl Amounts {
    /// The amount of one unit.
    pub fn get(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Usd => self.usd,
            Unit::Calls => self.calls,
            Unit::Tokens => self.tokens,
            Unit::Fanout => self.fanout,
        }
    }

    /// These and those.
    #[must_use]
    pub fn plus(mut self, those: &Self) -> Self {
        for unit in Unit::ALL {
            add(&mut self, unit, those.get(unit));
        }
        self
    }

    /// What of these is left without those.
    #[must_use]
    pub fn less(mut self, those: &Self) -> Self {
        for unit in Unit::ALL {
            let amount = self.get_mut(unit);
            *amount = amount.saturating_sub(those.get(unit));
        }
        self
    }

    /// Whether there is nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Sets the amount of one unit.
    pub fn set(&mut self, unit: Unit, amount: u64) {
        *self.get_mut(unit) = amount;
    }

    /// The amount of one unit, to change.
    fn get_mut(&mut self, unit: Unit) -> &mut u64 {
        match unit {
            Unit::Usd => &mut self.usd,
            Unit::Calls => &mut self.calls,
            Unit::Tokens => &mut self.tokens,
            Unit::Fanout => &mut self.fanout,
        }
    }
}

impl Ceilings {
    /// The ceiling of one unit.
    pub fn get(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Usd => self.usd,
            Unit::Calls => self.calls,
            Unit::Tokens => self.tokens,
            Unit::Fanout => self.fanout,
        }
    }

    /// Sets the ceiling of one unit.
    pub fn set(&mut self, unit: Unit, ceiling: Option<u64>) {
        *match unit {
            Unit::Usd => &mut self.usd,
            Unit::Calls => &mut self.calls,
            Unit::Tokens => &mut self.tokens,
            Unit::Fanout => &mut self.fanout,
        } = ceiling;
    }

    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(&self, those: &Self) -> Self {
        let mut either = *self;
        for unit in Unit::ALL {
            either.set(unit, self.get(unit).or(those.get(unit)));
        }
        either
    }

    /// The lower ceiling of these and those.
    #[must_use]
    pub fn lower_of(&self, those: &Self) -> Self {
        let mut lower = *self;
        for unit in Unit::ALL {
            lower.set(unit, self.get(unit).into_iter().chain(those.get(unit)).min());
        }
        lower
    }

    /// All that may be used up under them; nothing of a unit without a ceiling.
    pub fn amounts(&self) -> Amounts {
        let mut amounts = Amounts::default();
        for unit in Unit::ALL {
            amounts.set(unit, self.get(unit).unwrap_or(0));
        }
        amounts
    }

    /// Whether there is no ceiling at all.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// Purses by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger<K> {
    purses: BTreeMap<K, Purse<K>>,
}

/// A purse, for people and tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purse<K> {
    /// The purses its ceiling is reserved with.
    pub parents: Vec<K>,
    /// The most that may be used up.
    pub ceilings: Ceilings,
    /// Used up by it and its closed children.
    pub spent: Amounts,
    /// Held for its open children.
    pub reserved: Amounts,
}

/// There is not enough left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} {unit} wanted, {left} left", wanted = .unit.format(*.wanted), unit = .unit.name(), left = .unit.format(*.left))]
pub struct Exhausted {
    /// Of what.
    pub unit: Unit,
    /// How much was wanted.
    pub wanted: u64,
    /// How much there is.
    pub left: u64,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self { purses: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Ledger<K> {
    /// A purse.
    pub fn get(&self, key: &K) -> Option<&Purse<K>> {
        self.purses.get(key)
    }

    /// All open purses.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Purse<K>)> {
        self.purses.iter()
    }

    /// Whether no purse was ever opened.
    pub fn is_empty(&self) -> bool {
        self.purses.is_empty()
    }

    /// What is left in a purse; unlimited if there is no such purse.
    pub fn left(&self, key: &K) -> Ceilings {
        let mut left = Ceilings::default();
        if let Some(purse) = self.purses.get(key) {
            for unit in Unit::ALL {
                left.set(unit, purse.left(unit));
            }
        }
        left
    }

    /// What a new purse would get: what is asked, else all that its parents have left once the fee is paid.
    ///
    /// # Errors
    /// [`Exhausted`] if a parent has less left than is asked and the fee.
    pub fn offer(&self, parents: &[K], asked: Ceilings, fee: Amounts) -> Result<Ceilings, Exhausted> {
        let mut offer = asked;
        for unit in Unit::ALL {
            let fee = fee.get(unit);
            for parent in parents.iter().filter_map(|key| self.purses.get(key)) {
                let Some(left) = parent.left(unit) else { continue };
                let wanted = asked.get(unit).unwrap_or(0).saturating_add(fee);
                if wanted > left {
                    return Err(Exhausted { unit, wanted, left });
                }
                offer.set(unit, Some(offer.get(unit).map_or(left - fee, |offered| offered.min(left - fee))));
            }
        }
        Ok(offer)
    }

    /// Opens a purse: reserves what [`Self::offer`] says with every parent, and charges them the fee. All or nothing.
    pub fn open(&mut self, key: K, parents: &[K], asked: Ceilings, fee: Amounts) -> Result<(), Exhausted> {
        let ceilings = self.offer(parents, asked, fee)?;
        for parent in parents {
            let Some(parent) = self.purses.get_mut(parent) else { continue };
            for unit in Unit::ALL {
                add(&mut parent.spent, unit, fee.get(unit));
                add(&mut parent.reserved, unit, ceilings.get(unit).unwrap_or(0));
            }
        }
        let (spent, reserved) = (Amounts::default(), Amounts::default());
        self.purses.insert(key, Purse { parents: parents.to_vec(), ceilings, spent, reserved });
        Ok(())
    }

    /// Charges a purse with what was used up by itself so far. `None` is unknown, and then all that could have been used up
    /// is charged. More than was left is charged only as far as it goes. Says what was charged; `None` if there is no such
    /// purse.
    pub fn charge(&mut self, key: &K, own: impl Fn(Unit) -> Option<u64>) -> Option<Amounts> {
        let purse = self.purses.get_mut(key)?;
        let mut charged = Amounts::default();
        for unit in Unit::ALL {
            let own = match (own(unit), purse.left(unit)) {
                (Some(own), Some(left)) => own.min(left),
                (None, Some(left)) => left,
                (own, None) => own.unwrap_or(0),
            };
            charged.set(unit, own);
            add(&mut purse.spent, unit, own);
        }
        Some(charged)
    }

    /// Closes a purse: it is charged ([`Self::charge`]), and the rest goes back to its parents. Says what it was charged with
    /// by itself; `None` if there is no such purse.
    pub fn close(&mut self, key: &K, own: impl Fn(Unit) -> Option<u64>) -> Option<Amounts> {
        let charged = self.charge(key, own)?;
        let mut purse = self.purses.remove(key)?;
        for unit in Unit::ALL {
            // Children are closed first; were one not, what it holds counts as used up.
            let held = purse.reserved.get(unit);
            add(&mut purse.spent, unit, held);
            for parent in &purse.parents {
                let Some(parent) = self.purses.get_mut(parent) else { continue };
                let reserved = parent.reserved.get_mut(unit);
                *reserved = reserved.saturating_sub(purse.ceilings.get(unit).unwrap_or(0));
                add(&mut parent.spent, unit, purse.spent.get(unit));
            }
        }
        Some(charged)
    }
}

impl<K> Purse<K> {
    /// What is left of a unit; `None` if it is unlimited.
    pub fn left(&self, unit: Unit) -> Option<u64> {
        let gone = self.spent.get(unit).saturating_add(self.reserved.get(unit));
        self.ceilings.get(unit).map(|ceiling| ceiling.saturating_sub(gone))
    }
}

fn add(amounts: &mut Amounts, unit: Unit, amount: u64) {
    let total = amounts.get_mut(unit);
    *total = total.saturating_add(amount);
}
