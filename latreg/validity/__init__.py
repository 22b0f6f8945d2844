"""What makes a fault a valid one: gates, and the models behind them."""
