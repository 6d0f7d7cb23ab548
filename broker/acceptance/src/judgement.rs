//! The order of the checks: receipts, then what code can check. The judge comes after, if nothing failed, and is asked by
//! whoever calls.

use crate::criteria::Acceptance;
use crate::produced::{Produced, View};
use crate::verdict::Verdict;
use crate::{citations, expression, receipts, schema};

/// Checks a result against all criteria but the judge.
pub fn judge(accept: &Acceptance, result: &Produced) -> Verdict {
    let view = View::of(result);
    let mut checks = receipts::check(accept, &view);
    checks.extend(accept.schema.as_ref().map(|schema| schema::check(schema, &view)));
    checks.extend(accept.citations.as_ref().map(|wanted| citations::check(wanted, &view)));
    checks.extend(accept.expression.as_ref().map(|expression| expression::check(expression, &view)));
    Verdict::of(checks)
}
