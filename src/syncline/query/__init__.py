"""What can be asked: the tree of a query, the expression builder, the reference evaluator (spec/sdk.md §7)."""

from syncline.query.expression import Condition, Expr, all_of, any_of

__all__ = ["Condition", "Expr", "all_of", "any_of"]
