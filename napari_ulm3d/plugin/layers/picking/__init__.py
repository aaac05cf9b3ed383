"""What is under the mouse: clicks in the view, and the track nearest to them."""
