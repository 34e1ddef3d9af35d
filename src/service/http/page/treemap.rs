//! Groups as areas: a squarified treemap, laid out here so that it needs no script.
//!
//! The layout is that of Bruls, Huizing and van Wijk (2000): rows are filled along the
//! shorter side for as long as that makes their cells squarer.

use maud::{Markup, html};

/// What takes part, the largest first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// What it is called.
    pub label: String,
    /// The block it stands in, with others of that name.
    pub block: String,
    /// What it is called inside of its block; empty where it is all of it.
    pub inner: String,
    /// How much of it there is.
    pub bytes: u64,
    /// That in words.
    pub detail: String,
    /// The class of its colour.
    pub class: &'static str,
    /// Where it leads.
    pub link: Option<String>,
}

impl Part {
    fn weight(&self) -> f64 {
        self.bytes.max(1) as f64
    }
}

/// A rectangle in the units of the layout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The plane everything is laid out in; its ratio is about that of a wide page.
const PLANE: Area = Area {
    x: 0.0,
    y: 0.0,
    width: 200.0,
    height: 100.0,
};

/// An area for each weight, in their order. Weights are positive and fall.
fn squarified(weights: &[f64], plane: Area) -> Vec<Area> {
    let total: f64 = weights.iter().sum();
    let scale = plane.width * plane.height / total;
    let mut areas = Vec::with_capacity(weights.len());
    let mut rest = plane;
    let mut row: Vec<f64> = Vec::new();
    for weight in weights {
        let size = weight * scale;
        let side = rest.width.min(rest.height);
        let mut longer = row.clone();
        longer.push(size);
        if !row.is_empty() && worst(&longer, side) > worst(&row, side) {
            rest = place(&row, rest, &mut areas);
            row.clear();
        }
        row.push(size);
    }
    place(&row, rest, &mut areas);
    areas
}

/// The worst ratio of two sides in a row of this length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let ratio = |size: &f64| {
        let ratio = side * side * size / (sum * sum);
        ratio.max(1.0 / ratio)
    };
    row.iter().map(ratio).fold(0.0, f64::max)
}

/// Lays a row along the shorter side; what is left of the plane.
fn place(row: &[f64], rest: Area, areas: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum();
    if sum <= 0.0 {
        return rest;
    }
    let upright = rest.width >= rest.height;
    let thick = sum / rest.width.min(rest.height);
    let (mut x, mut y) = (rest.x, rest.y);
    for size in row {
        let long = size / thick;
        let (width, height) = if upright {
            (thick, long)
        } else {
            (long, thick)
        };
        areas.push(Area {
            x,
            y,
            width,
            height,
        });
        if upright { y += long } else { x += long }
    }
    match upright {
        true => Area {
            x: rest.x + thick,
            width: (rest.width - thick).max(0.0),
            ..rest
        },
        false => Area {
            y: rest.y + thick,
            height: (rest.height - thick).max(0.0),
            ..rest
        },
    }
}

/// Parts of one block, the largest first, and the blocks likewise.
fn blocks(parts: &[Part]) -> Vec<Vec<&Part>> {
    let mut blocks: Vec<Vec<&Part>> = Vec::new();
    for part in parts {
        let mut known = blocks.iter_mut();
        match known.find(|block| block.first().is_some_and(|first| first.block == part.block)) {
            Some(block) => block.push(part),
            None => blocks.push(vec![part]),
        }
    }
    blocks.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    blocks
}

fn weight(block: &[&Part]) -> f64 {
    block.iter().map(|part| part.weight()).sum()
}

/// The treemap: a block for each first value, in it a cell for each group. A table says
/// the same to whoever cannot see it, so this is silent.
pub(super) fn treemap(parts: &[Part]) -> Markup {
    let blocks = blocks(parts);
    let weights: Vec<f64> = blocks.iter().map(|block| weight(block)).collect();
    let places = squarified(&weights, PLANE);
    html! {
        svg.treemap width="100%" height="100%" aria-hidden="true" focusable="false" {
            @for (block, place) in blocks.iter().zip(&places) {
                @let weights: Vec<f64> = block.iter().map(|part| part.weight()).collect();
                @let areas = squarified(&weights, *place);
                @let lead = block.first().zip(areas.first());
                @let lead = lead.and_then(|(part, area)| label(part, *area, true)).map(|(room, _)| room);
                @for (at, (part, area)) in block.iter().zip(areas).enumerate() {
                    // What cannot be seen cannot be pointed at either.
                    @if area.width > 0.2 && area.height > 0.2 { (cell(part, area, at == 0, lead)) }
                }
            }
            @for place in &places {
                rect.block fill="none"
                    x=(share(place.x, PLANE.width)) y=(share(place.y, PLANE.height))
                    width=(share(place.width, PLANE.width)) height=(share(place.height, PLANE.height)) {}
            }
        }
    }
}

fn share(value: f64, of: f64) -> String {
    format!("{:.3}%", value / of * 100.0)
}

/// A cell of a block whose own name is shown from the lead's width on: without that, what
/// the cell is called inside of it would mean nothing.
fn cell(part: &Part, area: Area, first: bool, lead: Option<&'static str>) -> Markup {
    let named = label(part, area, first).zip(lead);
    let inner = html! {
        title { (part.label) ", " (part.detail) }
        rect class=(part.class) width="100%" height="100%" {}
        @if let Some(((room, label), lead)) = named {
            text.(room.max(lead)) x="10" y="20" { (label) }
            @if let Some(room) = self::room(&part.detail, 7.4, area, 14.0) {
                text.detail.(room.max(lead)) x="10" y="37" { (part.detail) }
            }
        }
    };
    html! {
        svg.cell.(part.class)
            x=(share(area.x, PLANE.width)) y=(share(area.y, PLANE.height))
            width=(share(area.width, PLANE.width)) height=(share(area.height, PLANE.height)) {
            @match &part.link {
                Some(link) => a href=(link) tabindex="-1" { (inner) },
                None => (inner),
            }
        }
    }
}

/// The name that fits in, and from which width of the whole on. The first cell of a block
/// says which block it is, the others only what they are in it.
fn label(part: &Part, area: Area, first: bool) -> Option<(&'static str, &str)> {
    let names: [&str; 2] = match (first, part.inner.is_empty()) {
        (true, _) | (false, true) => [&part.label, &part.block],
        (false, false) => [&part.inner, ""],
    };
    let mut fitting = names.into_iter().filter(|name| !name.is_empty());
    fitting.find_map(|name| Some((room(name, 8.8, area, 9.0)?, name)))
}

/// From which width of the whole on a text fits into its cell: a class of the style. Their
/// names are in the order of their widths.
fn room(text: &str, letter: f64, area: Area, least_height: f64) -> Option<&'static str> {
    // The map is about 300 pixels high for the 100 units of the plane.
    if area.height < least_height {
        return None;
    }
    let wide = text.chars().count() as f64 * letter + 18.0;
    match wide / (area.width / PLANE.width) {
        ..320.0 => Some("from-320"),
        320.0..480.0 => Some("from-480"),
        480.0..560.0 => Some("from-560"),
        560.0..680.0 => Some("from-680"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(a: &Area, b: &Area) -> f64 {
        let wide = (a.x + a.width).min(b.x + b.width) - a.x.max(b.x);
        let high = (a.y + a.height).min(b.y + b.height) - a.y.max(b.y);
        wide.max(0.0) * high.max(0.0)
    }

    #[test]
    fn areas_are_as_large_as_their_weights_and_fill_the_plane() {
        let weights = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0];
        let areas = squarified(&weights, PLANE);
        let total: f64 = weights.iter().sum();
        for (weight, area) in weights.iter().zip(&areas) {
            let wanted = weight / total * 20_000.0;
            assert!((area.width * area.height - wanted).abs() < 1e-6);
            assert!(area.x >= 0.0 && area.x + area.width <= 200.0 + 1e-6);
            assert!(area.y >= 0.0 && area.y + area.height <= 100.0 + 1e-6);
        }
        for (at, a) in areas.iter().enumerate() {
            for b in &areas[at + 1..] {
                assert!(overlap(a, b) < 1e-6, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn the_paper_s_own_example_comes_out_as_in_the_paper() {
        let plane = Area {
            width: 6.0,
            height: 4.0,
            ..PLANE
        };
        let areas = squarified(&[6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], plane);
        let shape = |at: usize| (areas[at].width, areas[at].height);
        assert_eq!(shape(0), (3.0, 2.0));
        assert_eq!(shape(1), (3.0, 2.0));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(shape(2).0, 12.0 / 7.0) && near(shape(2).1, 7.0 / 3.0));
        assert!(near(shape(3).0, 9.0 / 7.0) && near(shape(3).1, 7.0 / 3.0));
    }

    #[test]
    fn many_equal_weights_stay_nearly_square() {
        let areas = squarified(&[1.0; 60], PLANE);
        assert_eq!(areas.len(), 60);
        for area in areas {
            let ratio = (area.width / area.height).max(area.height / area.width);
            assert!(ratio < 2.0, "{area:?}");
        }
    }

    #[test]
    fn groups_of_one_block_stand_together_and_name_it_once() {
        let part = |label: &str, bytes| {
            let (block, inner) = label.split_once(" · ").unwrap();
            Part {
                label: label.to_owned(),
                block: block.to_owned(),
                inner: inner.to_owned(),
                bytes,
                detail: String::new(),
                class: "age-0",
                link: None,
            }
        };
        let parts = [part("B · 1d", 90), part("A · 1d", 60), part("A · 1h", 50)];
        let found = blocks(&parts);
        let shape: Vec<Vec<&str>> = found
            .iter()
            .map(|block| block.iter().map(|part| part.label.as_str()).collect())
            .collect();
        assert_eq!(shape, [vec!["A · 1d", "A · 1h"], vec!["B · 1d"]]);
        let map = treemap(&parts).into_string();
        assert!(map.contains(">A · 1d</text>") && map.contains(">1h</text>"));
    }

    #[test]
    fn nothing_makes_no_cells_and_an_empty_group_a_small_one() {
        let part = |bytes| Part {
            label: "<b>".to_owned(),
            block: "<b>".to_owned(),
            inner: String::new(),
            bytes,
            detail: "0 B".to_owned(),
            class: "age-0",
            link: None,
        };
        assert!(!treemap(&[]).into_string().contains("rect"));
        let map = treemap(&[part(0)]).into_string();
        assert!(map.contains("&lt;b&gt;") && !map.contains("<b>"));
    }
}
