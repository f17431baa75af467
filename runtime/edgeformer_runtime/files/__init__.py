"""Reading files that nobody vouches for: strict paths, JSON and .zip files; copies that nobody else can change."""
