/// Combining marks go; it is used behind NFD or NFKD.
func stripAccents(_ text: inout NormalizedText) {
    text.remove(UnicodeTable.combiningMark)
}
