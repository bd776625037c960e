"""Where we act: workspace containers, and the forge that receives the work."""
