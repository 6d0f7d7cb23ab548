//! A CEL expression over a result: `text`, `artifacts` and `data`. It passes where it is true, fails where it is false; if
//! it cannot be evaluated, or is neither, nobody can tell whether the result or the expression is at fault.
//!
//! An evaluation cannot be interrupted from outside. So no expression can make values larger than those it is given
//! (`shape.rs` refuses what could), and each turn of a loop is paid for out of a fixed amount of work.

mod shape;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, ExecutionError, Program, Value};

use crate::produced::View;
use crate::verdict::{Check, Criterion};

/// Longest expression.
const MAX_EXPRESSION_BYTES: usize = 2 * 1024;
/// Most bytes of a result that an expression is evaluated over.
const MAX_RESULT_BYTES: u64 = 4 * 1024 * 1024;
/// Work for all turns of all loops together. A turn costs one, and one more for each of these many bytes of the result:
/// it may look at all of it.
const MAX_WORK: u64 = 4_000_000;
const BYTES_PER_WORK: u64 = 1_024;
/// The same where a regular expression is tried on them.
const MATCHED_BYTES_PER_WORK: u64 = 64;
/// What a regular expression costs beside: it is made anew each time.
const WORK_OF_A_PATTERN: u64 = 500;
/// Pays for a turn of a loop. No expression can name it.
const PAY: &str = "@pay";

/// An expression ready to be evaluated.
pub(crate) fn compile(source: &str) -> Result<IdedExpr, String> {
    let length = source.len();
    if length > MAX_EXPRESSION_BYTES {
        return Err(format!("expected at most {MAX_EXPRESSION_BYTES} bytes, found {length}"));
    }
    shape::check_source(source)?;
    let program = Program::compile(source).map_err(|errors| format!("not a CEL expression: {errors}"))?;
    let mut expression = program.expression().clone();
    shape::check(&expression)?;
    charge(&mut expression);
    Ok(expression)
}

/// The result is as the expression says.
pub(crate) fn check(source: &str, view: &View) -> Check {
    let check = Criterion::Expression;
    if view.bytes() > MAX_RESULT_BYTES {
        let reason = format!("the result has more than {MAX_RESULT_BYTES} bytes, too many for an expression");
        return Check::unverified(check, &reason);
    }
    let expression = match compile(source) {
        Ok(expression) => expression,
        Err(problem) => {
            return Check::unverified(check, &format!("the expression cannot be applied: {problem}"));
        }
    };
    match evaluate(&expression, view) {
        Ok(Value::Bool(true)) => Check::passed(check),
        Ok(Value::Bool(false)) => Check::failed(check, &format!("it is not so that {source}")),
        Ok(_) => Check::unverified(check, "the expression is neither true nor false"),
        Err(problem) => Check::unverified(check, &format!("the expression cannot be evaluated: {problem}")),
    }
}

fn evaluate(expression: &IdedExpr, view: &View) -> Result<Value, String> {
    let mut context = Context::default();
    context.add_variable_from_value("text", Value::String(Arc::new(view.text())));
    context.add_variable_from_value("artifacts", values::artifacts(view)?);
    context.add_variable_from_value("data", values::data(view.json())?);
    let bytes = view.bytes();
    let of_patterns = shape::patterns(expression) * (WORK_OF_A_PATTERN + bytes / MATCHED_BYTES_PER_WORK);
    let price = 1 + bytes / BYTES_PER_WORK + of_patterns;
    // All of it is evaluated once, loops or not.
    let left = MAX_WORK.checked_sub(price).ok_or("it takes too much work")?;
    let left = AtomicU64::new(left);
    let pay = move || -> Result<bool, ExecutionError> {
        let paid = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(price));
        paid.map(|_| true).map_err(|_| ExecutionError::function_error("loop", "it takes too much work"))
    };
    context.add_function(PAY, pay).map_err(|error| error.to_string())?;
    Value::resolve(expression, &context).map_err(|error| crate::verdict::shortened(&error.to_string()))
}

/// Has each turn of a loop paid for: where it is decided whether there is another one, or whether an element counts.
fn charge(expression: &mut IdedExpr) {
    if let Expr::Comprehension(comprehension) = &mut expression.expr {
        let guard = match &mut comprehension.loop_step.expr {
            Expr::Call(call) if call.func_name == operators::CONDITIONAL => call.args.first_mut(),
            _ => None,
        };
        let paid = guard.unwrap_or(&mut comprehension.loop_cond);
        let asked = std::mem::take(paid);
        let pay = CallExpr { func_name: PAY.to_owned(), target: None, args: Vec::new() };
        let no = Expr::Literal(LiteralValue::Boolean(false.into()));
        let of = |expr| IdedExpr { id: asked.id, expr };
        let args = vec![of(Expr::Call(pay)), IdedExpr { id: asked.id, expr: asked.expr }, of(no)];
        // The condition of a conditional has no other side that could absorb an error.
        let func_name = operators::CONDITIONAL.to_owned();
        paid.expr = Expr::Call(CallExpr { func_name, target: None, args });
    }
    shape::children_mut(&mut expression.expr).into_iter().for_each(charge);
}
