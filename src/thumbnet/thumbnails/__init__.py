"""Many pictures become thumbnails."""
