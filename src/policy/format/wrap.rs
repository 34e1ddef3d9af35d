//! Lines into text: spaces between pieces, and further lines for what is too long.

use std::collections::BTreeSet;

use super::WIDTH;
use super::lines::{Line, is_mark};
use crate::policy::parse::{Begins, Piece, PieceKind};

/// Columns of a block's indentation, and of a statement's further lines.
const INDENT: usize = 4;

/// The whole text.
pub(super) fn wrap(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        if line.apart {
            out.push('\n');
        }
        let chunks = chunks(line);
        let mut rest = chunks.as_slice();
        let mut indent = line.depth * INDENT;
        // Where one `and` begins a row, those beside it do too.
        let mut broken = BTreeSet::new();
        while !rest.is_empty() {
            let length = row_length(rest, indent, &mut broken);
            let (row, further) = rest.split_at(length.clamp(1, rest.len()));
            write_row(&mut out, indent, row);
            rest = further;
            let depth = rest.first().map_or(0, |chunk| chunk.depth);
            indent = (line.depth + 1 + depth) * INDENT;
        }
    }
    out
}

/// A piece as it is written, and how the text may be broken before it.
struct Chunk {
    text: String,
    /// Spaces before it, unless it begins a row.
    gap: usize,
    /// Brackets around it.
    depth: usize,
    /// May begin a row; the lower, the better. Even for `and` and `or`.
    level: Option<usize>,
    comment: Option<CommentPlace>,
}

/// Where a comment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommentPlace {
    BehindCode,
    OwnRow,
}

impl Chunk {
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

fn chunks(line: &Line) -> Vec<Chunk> {
    let mut depth = 0usize;
    let mut before: Option<&Piece> = None;
    let mut columns = 0;
    let mut chunks = Vec::with_capacity(line.pieces.len());
    for (index, piece) in line.pieces.iter().enumerate() {
        if matches!(piece.text.as_str(), ")" | "]") {
            depth = depth.saturating_sub(1);
        }
        let mut gap = before.map_or(0, |before| gap(before, piece));
        if let Some(column) = line.column.filter(|column| column.pieces == index) {
            gap += column.width.saturating_sub(columns);
        }
        let level = match piece.begins {
            Begins::Clause | Begins::Line => Some(1),
            Begins::Joined => Some(2 + 2 * depth),
            Begins::Item => Some(3 + 2 * depth),
            Begins::Nothing => None,
        };
        let comment = (piece.kind == PieceKind::Comment).then_some(match piece.breaks {
            0 => CommentPlace::BehindCode,
            _ => CommentPlace::OwnRow,
        });
        let outer = depth;
        let mut text = piece.text.clone();
        if piece.comma {
            text.push(',');
        }
        if matches!(piece.text.as_str(), "(" | "[") {
            depth += 1;
        }
        let chunk = Chunk {
            text,
            gap,
            depth: outer,
            level,
            comment,
        };
        columns += chunk.gap + chunk.width();
        chunks.push(chunk);
        before = Some(piece);
    }
    chunks
}

/// Spaces between two pieces of a row.
fn gap(before: &Piece, piece: &Piece) -> usize {
    let is = |piece: &Piece, marks: [&str; 3]| marks.iter().any(|mark| is_mark(piece, mark));
    if piece.kind == PieceKind::Comment {
        return 2;
    }
    let tight = piece.kind == PieceKind::Call
        || is(piece, [")", "]", ":"])
        || before.kind == PieceKind::Call
        || is(before, ["(", "[", "["]);
    usize::from(!tight)
}

/// How many of the chunks stand in the next row.
fn row_length(chunks: &[Chunk], indent: usize, broken: &mut BTreeSet<usize>) -> usize {
    if chunks.first().is_some_and(|chunk| chunk.comment.is_some()) {
        return 1;
    }
    let forced = forced_end(chunks, broken);
    let row = chunks.get(..forced).unwrap_or(chunks);
    let Some(overflow) = overflow(row, indent) else {
        return forced;
    };
    let breaks = || {
        let levels = row.iter().map(|chunk| chunk.level).enumerate().skip(1);
        levels.filter_map(|(at, level)| Some((level?, at)))
    };
    let best = breaks()
        .filter(|&(_, at)| at <= overflow)
        .min_by_key(|&(level, at)| (level, usize::MAX - at));
    let Some((level, at)) = best.or_else(|| breaks().next()) else {
        return forced;
    };
    if level % 2 == 1 {
        return at;
    }
    broken.insert(level);
    breaks()
        .find(|(other, _)| *other == level)
        .map_or(at, |(_, at)| at)
}

/// Where the row ends at the latest: a comment ends its row, and one that stood alone
/// still does.
fn forced_end(chunks: &[Chunk], broken: &BTreeSet<usize>) -> usize {
    let mut further = chunks.iter().enumerate().skip(1);
    let end = further.find_map(|(at, chunk)| match chunk.comment {
        Some(CommentPlace::BehindCode) => Some(at + 1),
        Some(CommentPlace::OwnRow) => Some(at),
        None => chunk
            .level
            .filter(|level| broken.contains(level))
            .map(|_| at),
    });
    end.unwrap_or(chunks.len())
}

/// The first chunk of a row that does not fit; comments may always stand out.
fn overflow(row: &[Chunk], indent: usize) -> Option<usize> {
    let mut columns = indent;
    row.iter().enumerate().position(|(at, chunk)| {
        columns += chunk.width() + if at == 0 { 0 } else { chunk.gap };
        columns > WIDTH && chunk.comment.is_none()
    })
}

fn write_row(out: &mut String, indent: usize, row: &[Chunk]) {
    out.extend(std::iter::repeat_n(' ', indent));
    for (at, chunk) in row.iter().enumerate() {
        if at > 0 {
            out.extend(std::iter::repeat_n(' ', chunk.gap));
        }
        out.push_str(&chunk.text);
    }
    out.push('\n');
}
