"""Synth: documents or seeds into generated, verified, selected rows.

Seven primitives say every recipe: Source ▸ Prompt ▸ Sample ▸ Parse ▸ Score ▸ Select ▸ Emit, and
Loop. A recipe lists them under `do:`; Python composes the same objects into a `synth.flow.Flow`.
"""
