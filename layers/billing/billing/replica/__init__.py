"""What Stripe's state means for the platform's record. The inbox, replay, reconciliation and checkout all ask here."""
