//! What an expression may look like, so that evaluating it stays cheap: how deep it is, how its loops nest, what it may
//! call, and that nothing in it makes values larger than those it is given.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// Most brackets open at a time, wherever they stand: the parser goes into each.
const MAX_BRACKETS: usize = 24;
/// Most levels of an expression.
const MAX_DEPTH: usize = 48;
/// Most loops within each other, and in all.
const MAX_NESTED_LOOPS: usize = 2;
const MAX_LOOPS: usize = 8;

/// Most bytes a regular expression may take up.
const MAX_PATTERN_BYTES: usize = 64 * 1024;

/// What is called by name.
const MATCHES: &str = "matches";
const FUNCTIONS: [&str; 8] =
    ["size", "contains", "startsWith", "endsWith", MATCHES, "int", "double", "string"];
/// What makes a number, and takes nothing apart that is larger.
const NUMBERS: [&str; 3] = ["size", "int", "double"];
const ARITHMETIC: [&str; 5] =
    [operators::SUBSTRACT, operators::MULTIPLY, operators::DIVIDE, operators::MODULO, operators::NEGATE];
const OTHER_OPERATORS: [&str; 13] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::INDEX,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
];

/// Before it is parsed: the parser must not go too deep.
pub(super) fn check_source(source: &str) -> Result<(), String> {
    let mut open = 0_usize;
    for character in source.chars() {
        match character {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Err(format!("expected at most {MAX_BRACKETS} brackets within each other"));
        }
    }
    Ok(())
}

/// Once it is parsed.
pub(super) fn check(expression: &IdedExpr) -> Result<(), String> {
    let mut loops = 0;
    visit(&expression.expr, Level::default(), &mut loops)
}

#[derive(Clone, Copy, Default)]
struct Level {
    depth: usize,
    loops: usize,
}

fn visit(expr: &Expr, level: Level, loops: &mut usize) -> Result<(), String> {
    if level.depth > MAX_DEPTH {
        return Err(format!("expected at most {MAX_DEPTH} levels"));
    }
    let mut below = Level { depth: level.depth + 1, ..level };
    match expr {
        Expr::Call(call) => check_call(call)?,
        Expr::List(list) if !list.elements.iter().all(|element| is_constant(&element.expr)) => {
            return Err("expected lists of constants".to_owned());
        }
        Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
            return Err("maps and messages cannot be made here; compare member by member".to_owned());
        }
        Expr::Comprehension(comprehension) => {
            below.loops += 1;
            *loops += 1;
            if below.loops > MAX_NESTED_LOOPS || *loops > MAX_LOOPS {
                let expected = "expected at most";
                return Err(format!(
                    "{expected} {MAX_LOOPS} of all, exists, exists_one and filter, {MAX_NESTED_LOOPS} within each other"
                ));
            }
            return visit_loop(comprehension, level, below, loops);
        }
        _ => {}
    }
    children(expr).into_iter().try_for_each(|child| visit(&child.expr, below, loops))
}

/// What the macros make of a loop adds one, or the element itself, to what was found so far.
fn visit_loop(
    comprehension: &ComprehensionExpr,
    level: Level,
    below: Level,
    loops: &mut usize,
) -> Result<(), String> {
    visit(&comprehension.iter_range.expr, Level { depth: level.depth + 1, ..level }, loops)?;
    let Expr::Call(step) = &comprehension.loop_step.expr else { return Err(unsupported("map")) };
    match (step.func_name.as_str(), step.args.as_slice()) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, asked]) => visit(&asked.expr, below, loops),
        (operators::CONDITIONAL, [asked, then, _]) if adds_little(&then.expr, &comprehension.iter_var) => {
            visit(&asked.expr, below, loops)
        }
        _ => Err(unsupported("map")),
    }
}

fn adds_little(then: &Expr, variable: &str) -> bool {
    let Expr::Call(CallExpr { func_name, args, .. }) = then else { return false };
    let [_, added] = args.as_slice() else { return false };
    let is_element = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if name == variable);
    let is_little = match &added.expr {
        Expr::List(list) => list.elements.iter().all(is_element),
        added => is_constant(added),
    };
    func_name == operators::ADD && is_little
}

fn check_call(call: &CallExpr) -> Result<(), String> {
    let name = call.func_name.as_str();
    if name == operators::ADD {
        // Two texts or two lists would make a larger one. With a number on one side, the other is one too.
        let adds_numbers = call.args.iter().any(|argument| is_number(&argument.expr));
        let expected = "+ adds numbers only: expected a number, size(), int() or double() on one side";
        return if adds_numbers { Ok(()) } else { Err(expected.to_owned()) };
    }
    if name == MATCHES {
        return check_pattern(call.args.last());
    }
    let is_known = [&FUNCTIONS[..], &ARITHMETIC, &OTHER_OPERATORS].concat().contains(&name);
    if is_known { Ok(()) } else { Err(unsupported(name)) }
}

/// A pattern stands there, so that it is known what it takes to apply it.
fn check_pattern(pattern: Option<&IdedExpr>) -> Result<(), String> {
    let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern.map(|pattern| &pattern.expr) else {
        return Err("matches takes a regular expression that stands there as a text".to_owned());
    };
    let builder = regex::RegexBuilder::new(pattern.inner()).size_limit(MAX_PATTERN_BYTES).build();
    builder.map(drop).map_err(|error| format!("matches: {error}"))
}

/// Whether it holds regular expressions.
pub(super) fn patterns(expression: &IdedExpr) -> u64 {
    let own = matches!(&expression.expr, Expr::Call(call) if call.func_name == MATCHES);
    let within: u64 = match &expression.expr {
        Expr::Comprehension(comprehension) => {
            let parts = [&comprehension.iter_range, &comprehension.loop_step, &comprehension.loop_cond];
            parts.into_iter().map(patterns).sum()
        }
        expr => children(expr).into_iter().map(patterns).sum(),
    };
    u64::from(own) + within
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) if call.func_name == operators::ADD => {
            call.args.iter().any(|argument| is_number(&argument.expr))
        }
        Expr::Call(call) => {
            let name = call.func_name.as_str();
            NUMBERS.contains(&name) || ARITHMETIC.contains(&name)
        }
        Expr::Literal(literal) => {
            matches!(literal, LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_))
        }
        _ => false,
    }
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => true,
        Expr::Call(call) if call.func_name == operators::NEGATE => {
            call.args.iter().all(|argument| is_constant(&argument.expr))
        }
        _ => false,
    }
}

fn unsupported(name: &str) -> String {
    let functions = FUNCTIONS.join(", ");
    format!("{name} is not supported; use has, all, exists, exists_one, filter, {functions} and operators")
}

fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        _ => Vec::new(),
    }
}

/// Every expression one level below, whatever the kind.
pub(super) fn children_mut(expr: &mut Expr) -> Vec<&mut IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::Select(select) => vec![&mut *select.operand],
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Comprehension(comprehension) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } =
                &mut **comprehension;
            vec![iter_range, accu_init, loop_cond, loop_step, result]
        }
        Expr::Map(map) => map.entries.iter_mut().flat_map(|entry| in_entry(&mut entry.expr)).collect(),
        Expr::Struct(made) => made.entries.iter_mut().flat_map(|entry| in_entry(&mut entry.expr)).collect(),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn in_entry(entry: &mut EntryExpr) -> Vec<&mut IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&mut field.value],
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
    }
}
