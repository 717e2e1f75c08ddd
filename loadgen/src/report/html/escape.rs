//! Text into a page: nothing that came from outside may be taken for a page's own.
//!
//! In: any text (URLs, header values, what a server answered, host names). Out: text that means itself between tags
//! and inside quoted attributes, and JSON that can't end its `<script>`.

use crate::report::tame;

/// Characters of one text that are shown: an answer's example may be long, a page may not.
const TEXT_MAX: usize = 300;
/// Characters of the command line that are shown.
const COMMAND_MAX: usize = 4_000;

/// Escaped, tamed and cut.
pub(super) fn esc(text: &str) -> String {
    escaped(&tame(text, TEXT_MAX))
}

/// The same for what is there to be copied.
pub(super) fn command(text: &str) -> String {
    escaped(&tame(text, COMMAND_MAX))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// JSON inside `<script>`. There `<` is the one character that can end it, and in JSON it is in strings alone.
pub(super) fn script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(esc("<b a=\"1\" c='2'>&amp;"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
        assert_eq!(esc("\u{0}\u{1b}\u{85}"), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(esc(&"<".repeat(5_000)).matches("&lt;").count(), TEXT_MAX - 1);
    }

    #[test]
    fn json_in_a_script_can_not_end_it_and_means_the_same() {
        let text = "</script><!--<script>";
        let json = serde_json::to_string(text).unwrap();
        let safe = script(&json);
        assert!(!safe.contains('<'), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
