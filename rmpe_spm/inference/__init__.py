"""From pictures, videos and cameras to poses, files and overlays."""
