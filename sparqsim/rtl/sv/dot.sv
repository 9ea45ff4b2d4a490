// What one cycle of a PE adds to its partial sum, for any design.
`include "parameters.svh"
module dot #(`PE_PARAMETERS) (
    input [AW-1:0] a,
    input [WW-1:0] w,
    input second,  // the second cycle of a step of two
    output two,    // the step takes two cycles
    output signed [`VALUE-1:0] value
);
    generate
        if (KIND == `SPARQ) begin : sparq
            assign two = 1'b0;
            dot_sparq #(BITS, STRIDE, CODE) unit(a, w, value);
        end else if (KIND == `EXACT) begin : exact
            dot_exact #(BITS, STRIDE, CODE) unit(a, w, second, two, value);
        end else if (KIND == `SYSMT) begin : sysmt
            assign two = 1'b0;
            dot_sysmt #(ROUND) unit(a, w, value);
        end else begin : mac
            assign two = 1'b0;
            dot_mac #(LANES, XBITS, WBITS, SIGNED) unit(a, w, value);
        end
    endgenerate
endmodule
