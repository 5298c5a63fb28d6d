"""The page, and the only part of the package that knows Gradio."""
