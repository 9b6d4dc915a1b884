"""CNI upgrade operator: finds and cures CNI configs that runtimes no longer forgive."""
