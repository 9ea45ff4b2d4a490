// What one cycle of a PE of a BIT_SCALABLE design adds to its partial sum, and whether the step goes on.
`include "parameters.svh"
module dot_scalable #(`PE_PARAMETERS) (
    input [AW-1:0] a,
    input [WW-1:0] w,
    input [STATE:0] now,    // {state, any cycle of a step but the first}
    output [STATE:0] next,  // {state after this cycle, the step goes on after it}
    output signed [`VALUE-1:0] value
);
    generate
        if (KIND == `STRIPES) begin : stripes
            dot_stripes #(LANES, SIGNED) unit(a, w, now, next, value);
        end else if (KIND == `LOOM) begin : loom
            dot_loom #(LANES, SIGNED) unit(a, w, now, next, value);
        end else if (KIND == `PRAGMATIC) begin : pragmatic
            dot_pragmatic #(LANES, SIGNED, NAF, STAGE) unit(a, w, now, next, value);
        end else if (KIND == `SWIS) begin : swis
            dot_swis #(LANES, SIGNED, SHIFTS, PER_CYCLE) unit(a, w, now, next, value);
        end else begin : fusion
            assign next = 1'b0;
            dot_fusion #(SIGNED) unit(a, w, value);
        end
    endgenerate
endmodule
