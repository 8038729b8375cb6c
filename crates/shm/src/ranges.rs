//! Sets of ranks in few letters, for reports that fold what many ranks have in common.

/// `0-3,5` for ranks in increasing order.
pub fn ranges(ranks: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = ranks;
    while let Some(&first) = rest.first() {
        let run = (first..).zip(rest).take_while(|(expected, rank)| expected == *rank).count();
        let last = rest[run - 1];
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&first.to_string());
        if run > 1 {
            // Two are no range: 3,4 is as short and plainer.
            text.push(if run == 2 { ',' } else { '-' });
            text.push_str(&last.to_string());
        }
        rest = &rest[run..];
    }
    text
}

/// The ranks of such a text; what is no range is left out.
pub fn parse(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        // Nobody has more ranks than a job may have.
        Some((first.parse::<u32>().ok()?..=last.parse().ok()?).take(4096))
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::{parse, ranges};

    #[test]
    fn runs_are_folded() {
        for (ranks, text) in
            [(&[][..], ""), (&[4], "4"), (&[0, 1], "0,1"), (&[0, 1, 2, 3], "0-3"), (&[1, 3, 4, 5, 9, 10], "1,3-5,9,10")]
        {
            assert_eq!(ranges(ranks), text);
            assert_eq!(parse(text), ranks);
        }
    }
}
