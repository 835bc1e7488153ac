//! placeholder
pub const MAX_ARTICLE_TOML_BYTES: u64 = 256 << 10;
pub struct Article {
    pub title: String,
    pub id: Option<String>,
}
impl Article {
    pub fn parse(bytes: &[u8]) -> Result<(Article, Vec<String>), String> {
        let t: toml::Table =
            toml::from_str(std::str::from_utf8(bytes).map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        Ok((Article { title: t.get("title").and_then(|t| t.as_str()).unwrap_or("").to_string(), id: None }, vec![]))
    }
}
