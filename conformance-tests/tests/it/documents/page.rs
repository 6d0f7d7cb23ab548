//! A page of the documentation as the tests read it: its blocks of code with what hidden comments say about them, its
//! links, its headings, and the code within its sentences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page.
pub(super) struct Page {
    /// Its path from the repository's root.
    pub(super) path: PathBuf,
    pub(super) blocks: Vec<Block>,
    pub(super) links: Vec<String>,
    pub(super) anchors: Vec<String>,
    /// Code within sentences.
    pub(super) spans: Vec<String>,
}

/// A fenced block.
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) text: String,
    pub(super) marks: Vec<Mark>,
}

/// What an HTML comment right above a block says about it; readers do not see it.
#[derive(Clone, PartialEq)]
pub(super) enum Mark {
    /// `<!-- not run: REASON -->`: it cannot be run here.
    NotRun(String),
    /// `<!-- given: COMMANDS -->`: what a reader has done before, or has anyway.
    Given(String),
    /// `<!-- terminals -->`: each line is for a terminal of its own.
    Terminals,
    /// `<!-- prints: LINES -->`: each line occurs in what it prints.
    Prints(String),
    /// `<!-- run: COMMAND -->`: not a shell's, but this command takes it on standard input.
    Run(String),
}

impl Mark {
    fn read(comment: &str) -> Option<Self> {
        let text = comment.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let rest = rest.trim().to_owned();
        match name.trim() {
            "not run" => Some(Self::NotRun(rest)),
            "given" => Some(Self::Given(rest)),
            "terminals" => Some(Self::Terminals),
            "prints" => Some(Self::Prints(rest)),
            "run" => Some(Self::Run(rest)),
            _ => None,
        }
    }
}

impl Block {
    /// Why it cannot be run, if so.
    pub(super) fn not_run(&self) -> Option<&str> {
        self.marks.iter().find_map(|mark| match mark {
            Mark::NotRun(reason) => Some(reason.as_str()),
            _ => None,
        })
    }

    pub(super) fn is_shell(&self) -> bool {
        self.language == "sh"
    }
}

impl Page {
    /// Reads one.
    pub(super) fn read(root: &Path, path: PathBuf) -> Self {
        let text = std::fs::read_to_string(root.join(&path)).expect("a page");
        let page = Self { path, blocks: vec![], links: vec![], anchors: vec![], spans: vec![] };
        let mut reader = Reader { page, marks: vec![], inside: Inside::Text, seen: BTreeMap::new() };
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            reader.take(event, || text[..range.start].lines().count() + 1);
        }
        reader.page
    }
}

/// What the reader is within.
enum Inside {
    Text,
    Comment(String),
    Heading(String),
    Block,
}

struct Reader {
    page: Page,
    marks: Vec<Mark>,
    inside: Inside,
    seen: BTreeMap<String, usize>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: impl Fn() -> usize) {
        match event {
            Event::Start(Tag::HtmlBlock) => self.inside = Inside::Comment(String::new()),
            Event::Start(Tag::Heading { .. }) => self.inside = Inside::Heading(String::new()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                let (marks, language) = (std::mem::take(&mut self.marks), language.to_string());
                self.page.blocks.push(Block { line: line(), language, text: String::new(), marks });
                self.inside = Inside::Block;
            }
            Event::End(TagEnd::HtmlBlock | TagEnd::Heading(_) | TagEnd::CodeBlock) => self.leave(),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                self.page.links.push(dest_url.to_string());
            }
            Event::Code(code) => {
                self.hear(&code);
                self.page.spans.push(code.to_string());
            }
            Event::Text(text) | Event::Html(text) => self.hear(&text),
            Event::Start(Tag::Paragraph | Tag::List(_) | Tag::Table(_)) => {
                let place = self.page.path.display();
                assert!(self.marks.is_empty(), "{place}:{}: the mark above is above no block", line());
            }
            _ => {}
        }
    }

    fn hear(&mut self, text: &str) {
        match &mut self.inside {
            Inside::Comment(heard) | Inside::Heading(heard) => heard.push_str(text),
            Inside::Block => self.page.blocks.last_mut().expect("the block it is in").text.push_str(text),
            Inside::Text => {}
        }
    }

    fn leave(&mut self) {
        match std::mem::replace(&mut self.inside, Inside::Text) {
            Inside::Comment(html) => {
                self.marks.extend(html.split_inclusive("-->").filter_map(Mark::read));
            }
            Inside::Heading(heading) => self.page.anchors.push(anchor(&heading, &mut self.seen)),
            Inside::Block | Inside::Text => {}
        }
    }
}

/// What a heading is linked by, on code hosts and in the book: a further one of the same words is numbered.
fn anchor(heading: &str, seen: &mut BTreeMap<String, usize>) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ');
    let anchor = heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    let before = seen.entry(anchor.clone()).or_default();
    *before += 1;
    if *before == 1 { anchor } else { format!("{anchor}-{}", *before - 1) }
}
